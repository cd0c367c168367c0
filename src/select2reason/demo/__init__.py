"""A pool of our own for `select2reason demo`: questions, answers and long traces, all made here, offline.

The traces come from searches that really run, dead ends included, so that hard questions have long traces with more
rethinking in them (METHOD 1). A known share is broken on purpose, in the ways that real pools are (METHOD 8), so that a
newcomer can see what selection drops and why. The layout is that of OpenR1-Math: one question a line, its generations
in lists. Numbers, wording and flaws all follow from the seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from uuid import NAMESPACE_URL, uuid5

import orjson

from select2reason.demo.generations import RUNAWAY, Generation, Kind, generate
from select2reason.demo.prose import spin
from select2reason.demo.questions import Puzzle, draw_puzzle
from select2reason.errors import OutputError
from select2reason.files import write_whole

__all__ = ["DemoCounts", "make_demo_pool"]

SOURCE = "select2reason-demo"
_SHARES = {  # of all examples; what is left is sound
    Kind.LOOP_VERBATIM: 0.03,
    Kind.LOOP_COUNTING: 0.03,
    Kind.CUT_OFF: 0.05,
    Kind.WRONG_ANSWER: 0.08,
    Kind.NO_TRACE: 0.01,
    Kind.LANGUAGE_SWITCH: 0.005,
    Kind.NO_ANSWER: 0.005,
    Kind.DUPLICATE: 0.02,
}
_TRACES_A_QUESTION = {1: 30, 2: 40, 3: 20, 4: 10}  # weights


@dataclass(frozen=True, slots=True)
class DemoCounts:
    """What was made. A duplicate is a line of its own, so lines = questions + duplicates."""

    questions: int
    lines: int
    examples: int
    kinds: Mapping[Kind, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the pool: a question and its generations."""

    puzzle: Puzzle
    question: str
    generations: tuple[Generation, ...]


def make_demo_pool(path: Path, *, examples: int = 2000, seed: int = 0, replace: bool = True) -> DemoCounts:
    """Write a pool of `examples` generations to `path` (JSONL), whole or not at all. The same seed gives the same
    bytes. Raises OutputError where anything else stands there, unless that is to be replaced."""
    lines = draw_lines(examples, seed)
    content = b"".join(_record(line, f"{seed}/{at}") for at, line in enumerate(lines))
    if not replace and path.exists() and not (path.is_file() and path.read_bytes() == content):
        raise OutputError(f"{path} exists; choose another --out")
    write_whole(path, content)
    kinds = Counter(generation.kind for line in lines for generation in line.generations)
    return DemoCounts(
        questions=len({line.question for line in lines}),
        lines=len(lines),
        examples=kinds.total(),
        kinds={kind: kinds[kind] for kind in Kind},
    )


def draw_lines(examples: int, seed: int) -> list[Line]:
    """The pool before it is written, in its order."""
    rng = Random(f"{SOURCE}/{seed}")
    kinds = [kind for kind, share in _SHARES.items() for _ in range(round(share * examples))]
    duplicates = kinds.count(Kind.DUPLICATE)
    kinds = kinds[: len(kinds) - duplicates]
    kinds += [Kind.SOUND] * (examples - duplicates - len(kinds))
    rng.shuffle(kinds)
    lines = list(_fresh_lines(kinds, rng))
    sound = [line for line in lines if any(each.kind is Kind.SOUND for each in line.generations)]
    lines += [_again(line, rng) for line in rng.sample(sound, duplicates)]
    rng.shuffle(lines)
    return lines


def _fresh_lines(kinds: list[Kind], rng: Random) -> Iterator[Line]:
    """One new question after the other, until every kind in the list has been made."""
    seen: set[Puzzle] = set()
    at = 0
    while at < len(kinds):
        size = rng.choices(list(_TRACES_A_QUESTION), list(_TRACES_A_QUESTION.values()))[0]
        mine = kinds[at : at + size]
        at += size
        puzzle = draw_puzzle(rng, seen, hard=not RUNAWAY.isdisjoint(mine))
        seen.add(puzzle)
        question = spin(puzzle.ask(rng), rng)
        yield Line(puzzle, question, tuple(generate(puzzle, kind, rng) for kind in mine))


def _again(line: Line, rng: Random) -> Line:
    """A line that repeats one sound generation of another."""
    copied = rng.choice([each for each in line.generations if each.kind is Kind.SOUND])
    return Line(line.puzzle, line.question, (Generation(copied.response, Kind.DUPLICATE, copied.answer),))


def _record(line: Line, name: str) -> bytes:
    gold = line.puzzle.answer
    record = {
        "uuid": str(uuid5(NAMESPACE_URL, f"{SOURCE}/{name}/{line.question}")),
        "problem": line.question,
        "answer": str(gold),
        "problem_type": line.puzzle.category,
        "source": SOURCE,
        "generations": [each.response for each in line.generations],
        "correctness_math_verify": [each.answer == gold for each in line.generations],
        "finish_reasons": [each.finish_reason for each in line.generations],
        "is_reasoning_complete": [each.complete for each in line.generations],
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
