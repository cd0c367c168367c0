"""What each answer concludes, said in one way: a choice as its letter, roles as a list in the gold answer's order.

What cannot be said so, though an answer is there, is unclear: it cannot be judged, and is not taken for wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from select2reason.benchmarks import Form
from select2reason.evaluation.problems import LETTERS, Problem
from select2reason.grading import Grader, final_answer
from select2reason.grading.rules import chosen
from select2reason.grading.tidy import tidy

_ROLE = re.compile(r"(\w+) is an? (\w+)")

Results = list[list[str | None]]


@dataclass(frozen=True, slots=True)
class Conclusions:
    """`results`: the final answer of each text of each problem, None where it has none; `unclear`: (problem, answer) of
    those that cannot be judged."""

    results: Results
    unclear: frozenset[tuple[int, str]] = frozenset()


def conclusions(form: Form, problems: Sequence[Problem], texts: Sequence[Sequence[str]], grader: Grader) -> Conclusions:
    """The final answers of each problem's texts, in the form of the benchmark."""
    found: Results = [[final_answer(text) for text in some] for some in texts]
    if form == "open":
        return Conclusions(found)
    said = [(number, one) for number, some in enumerate(found) for one in dict.fromkeys(some) if one is not None]
    told = _roles(problems, said) if form == "roles" else _letters(problems, said, grader)
    results = [[one and (told.get((n, one)) or one) for one in some] for n, some in enumerate(found)]
    return Conclusions(results, frozenset(where for where, one in told.items() if one is None))


def _letters(
    problems: Sequence[Problem], said: Sequence[tuple[int, str]], grader: Grader
) -> Mapping[tuple[int, str], str | None]:
    """Answers by the text of an option: its letter. Where several options say the same, the gold answer's if it is one
    of them; None where no option is equal and one cannot be compared. Letters, and answers like none, are left out."""
    texts = [(n, one) for n, one in said if problems[n].options and chosen(tidy(one)) is None]
    verdicts = iter(grader.grade([(one, option) for n, one in texts for option in problems[n].options]))
    letters: dict[tuple[int, str], str | None] = {}
    for n, one in texts:
        told = {letter: next(verdicts) for letter, _ in zip(LETTERS, problems[n].options, strict=False)}
        alike = [letter for letter, verdict in told.items() if verdict]
        gold = problems[n].gold or ""
        if alike:
            letters[n, one] = gold if gold in alike else alike[0]
        elif None in told.values():
            letters[n, one] = None
    return letters


def _roles(problems: Sequence[Problem], said: Sequence[tuple[int, str]]) -> Mapping[tuple[int, str], str | None]:
    """`NAME is a ROLE` for every name of the gold answer, in its order; None where one is not told exactly once."""
    golds = {n: _ROLE.findall(problems[n].gold or "") for n, _ in said}
    return {(n, one): _told(_plain(one), golds[n]) for n, one in said if golds[n]}


def _told(answer: str, gold: Sequence[tuple[str, str]]) -> str | None:
    names = [name for name, _ in gold]
    found: dict[str, set[str]] = {name: set() for name in names}
    for role in {role for _, role in gold}:
        for name in names:
            if any(re.search(pattern, answer) for pattern in _sayings(name, role, "|".join(names))):
                found[name].add(role)
    if not all(len(roles) == 1 for roles in found.values()):
        return None
    return ", ".join(f"{name} is a {found[name].pop()}" for name in names)


def _sayings(name: str, role: str, names: str) -> tuple[str, str]:
    """Ann is a knight, Ann: knight, Ann and Bob are knights; knights: Ann, Bob."""
    others = rf"(?:[\s,&]|and|(?:{names}))*"
    return (
        rf"\b{name}\b{others}[\s:=-]*(?:\bis\b|\bare\b|\bwas\b)?\s*(?:\bboth\b)?\s*(?:\ban?\b)?\s*\b{role}s?\b",
        rf"\b{role}s?\s*[:=]{others}\b{name}\b",
    )


def _plain(answer: str) -> str:
    """Without LaTeX's clothes, case of roles and line marks, all white space a single blank."""
    bare = re.sub(r"\\(?:text|mathrm|textbf|mathbf)\s*|[{}$*]|\\[,;: \\]", " ", answer)
    return re.sub(r"\b(Knights?|Knaves?|KNIGHTS?|KNAVES?)\b", lambda role: role.group().lower(), " ".join(bare.split()))
