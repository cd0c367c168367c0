"""What each answer concludes, said in one way: a choice as its letter, roles as a list in the gold answer's order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from select2reason.benchmarks import Form
from select2reason.evaluation.problems import Problem
from select2reason.grading import Grader, final_answer
from select2reason.grading.rules import chosen
from select2reason.grading.tidy import tidy

_ROLE = re.compile(r"(\w+) is an? (\w+)")

Results = list[list[str | None]]


def conclusions(form: Form, problems: Sequence[Problem], texts: Sequence[Sequence[str]], grader: Grader) -> Results:
    """The final answer of each text of each problem, None where it has none."""
    found: Results = [[final_answer(text) for text in some] for some in texts]
    if form == "roles":
        return [
            [_roles(result, problem.gold) for result in some] for problem, some in zip(problems, found, strict=True)
        ]
    return _letters(problems, found, grader) if form == "choice" else found


def _letters(problems: Sequence[Problem], found: Results, grader: Grader) -> Results:
    """Answers that are the text of exactly one option become its letter; all others stay as they are."""
    said = [
        (number, result)
        for number, some in enumerate(found)
        for result in dict.fromkeys(some)
        if result is not None and problems[number].options and chosen(tidy(result)) is None
    ]
    verdicts = iter(grader.grade([(result, option) for n, result in said for option in problems[n].options]))
    letter_of: dict[tuple[int, str], str] = {}
    for number, result in said:
        alike = [chr(ord("A") + place) for place, _ in enumerate(problems[number].options) if next(verdicts)]
        if len(alike) == 1:
            letter_of[number, result] = alike[0]
    return [
        [result and letter_of.get((number, result), result) for result in some] for number, some in enumerate(found)
    ]


def _roles(result: str | None, gold: str | None) -> str | None:
    """`NAME is a ROLE` for every name of the gold answer, in its order; the answer as it stands where one is not told
    exactly once."""
    if result is None or gold is None:
        return result
    roles = _ROLE.findall(gold)
    words = "|".join(sorted({role for _, role in roles}))
    return ", ".join(_told(result, [name for name, _ in roles], words)) or result


def _told(result: str, names: Sequence[str], words: str) -> Iterator[str]:
    told = [
        set(re.findall(rf"\b{name}\b(?:\W|\\text|\bis\b|\ban?\b){{1,30}}({words})\b", result, re.I)) for name in names
    ]
    if all(len(roles) == 1 for roles in told):
        yield from (f"{name} is a {roles.pop().lower()}" for name, roles in zip(names, told, strict=True))
