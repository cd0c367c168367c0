"""Majority votes by meaning: answers that are equal vote together, however they are written.

Eleven samples of a half, written four ways, beat five that say 2. No gold answer is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from select2reason.grading import Grader
from select2reason.grading.tidy import key, tidy


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


def majorities(results: Sequence[Sequence[str | None]], grader: Grader) -> list[Majority | None]:
    """The majority of each problem's final answers; None where no sample has one. A sample without one has no vote."""
    writings = [_writings(some) for some in results]
    pairs = [(a.text, b.text) for some in writings for a, b in permutations(some, 2)]
    verdicts = iter(grader.grade(pairs))
    return [
        _majority(some, {(a.text, b.text) for a, b in permutations(some, 2) if next(verdicts)}) for some in writings
    ]


def _writings(results: Sequence[str | None]) -> list[_Writing]:
    """The different writings, the commonest first, then by their first sample."""
    by_key: dict[str, _Writing] = {}
    for sample, result in enumerate(results):
        if result is not None and result.strip():
            by_key.setdefault(key(tidy(result)), _Writing(result, [])).samples.append(sample)
    return sorted(by_key.values(), key=lambda one: (-len(one.samples), one.samples[0]))


def _majority(writings: Sequence[_Writing], same: set[tuple[str, str]]) -> Majority | None:
    """Each writing joins the first class whose first writing it equals, in either direction."""
    classes: list[list[_Writing]] = []
    for one in writings:
        alike = (some for some in classes if {(one.text, some[0].text), (some[0].text, one.text)} & same)
        found = next(alike, None)
        if found is None:
            classes.append([one])
        else:
            found.append(one)
    if not classes:
        return None
    votes = [sum(len(one.samples) for one in some) for some in classes]
    first = [min(one.samples[0] for one in some) for some in classes]
    best = min(range(len(classes)), key=lambda n: (-votes[n], first[n]))
    return Majority(classes[best][0].samples[0], votes[best])
