"""Majority votes by meaning: answers that are equal vote together, however they are written.

Eleven samples of a half, written four ways, beat five that say 2. No gold answer is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from select2reason.grading import Grader
from select2reason.grading.tidy import key, tidy

_COMPARED = 64  # the commonest writings of a problem; of more than that the rest stand alone


@dataclass(frozen=True, slots=True)
class Majority:
    """What most samples of one problem say: the number of a sample that says it in its commonest writing, and how many
    say it. Both are of the class whose first sample came first where several are as large."""

    sample: int
    votes: int


@dataclass(frozen=True, slots=True)
class _Writing:
    """One way of writing an answer: the samples that write it so, in order."""

    text: str
    samples: list[int]


_Class = list[_Writing]  # equal answers, the commonest writing first


def majorities(results: Sequence[Sequence[str | None]], grader: Grader) -> list[Majority | None]:
    """The majority of each problem's final answers; None where no sample has one. A sample without one has no vote.

    The commonest writing begins the first class, and each that follows joins the first class whose first writing it
    equals, in either direction, or begins one. All problems go on together, a writing a round.
    """
    writings = [_writings(some) for some in results]
    classes: list[list[_Class]] = [[] for _ in writings]
    for place in range(min(_COMPARED, max(map(len, writings), default=0))):
        at = [number for number, some in enumerate(writings) if len(some) > place]
        _join(classes, [(number, writings[number][place]) for number in at], grader)
    for number, some in enumerate(writings):
        classes[number] += [[one] for one in some[_COMPARED:]]
    return [_largest(some) for some in classes]


def _writings(results: Sequence[str | None]) -> list[_Writing]:
    """The different writings, the commonest first, then by their first sample."""
    by_key: dict[str, _Writing] = {}
    for sample, result in enumerate(results):
        if result is not None and result.strip():
            by_key.setdefault(key(tidy(result)), _Writing(result, [])).samples.append(sample)
    return sorted(by_key.values(), key=lambda one: (-len(one.samples), one.samples[0]))


def _join(classes: list[list[_Class]], new: Sequence[tuple[int, _Writing]], grader: Grader) -> None:
    """Put one writing of each problem where it belongs."""
    asked = [(number, one, some) for number, one in new for some in classes[number]]
    forth = grader.grade([(one.text, some[0].text) for _, one, some in asked])
    doubtful = [pair for pair, equal in zip(asked, forth, strict=True) if not equal]
    back = iter(grader.grade([(some[0].text, one.text) for _, one, some in doubtful]))
    equal = iter([told or next(back) for told in forth])
    for number, one in new:
        alike = [some for some in classes[number] if next(equal)]
        if alike:
            alike[0].append(one)
        else:
            classes[number].append([one])


def _largest(classes: Sequence[_Class]) -> Majority | None:
    if not classes:
        return None
    votes = [sum(len(one.samples) for one in some) for some in classes]
    first = [min(one.samples[0] for one in some) for some in classes]
    best = min(range(len(classes)), key=lambda n: (-votes[n], first[n]))
    return Majority(classes[best][0].samples[0], votes[best])
