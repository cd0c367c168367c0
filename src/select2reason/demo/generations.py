"""One generation: a puzzle solved on paper, soundly or with one of the planted flaws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from random import Random

from select2reason.demo import flaws
from select2reason.demo.prose import Pen, conclude, respond
from select2reason.demo.questions import Puzzle


class Kind(StrEnum):
    """What an example of the demo pool was made to be."""

    SOUND = "sound"
    LOOP_VERBATIM = "loop_verbatim"
    LOOP_COUNTING = "loop_counting"
    CUT_OFF = "cut_off"
    WRONG_ANSWER = "wrong_answer"
    NO_TRACE = "no_trace"
    LANGUAGE_SWITCH = "language_switch"
    NO_ANSWER = "no_answer"
    DUPLICATE = "duplicate"


RUNAWAY = frozenset({Kind.LOOP_VERBATIM, Kind.LOOP_COUNTING, Kind.CUT_OFF})
"""What ends at the token limit: a thing of long traces, hence planted on hard questions."""

_Damage = Callable[[Sequence[str], Random], list[str]]
_DAMAGE: dict[Kind, _Damage] = {
    Kind.LOOP_VERBATIM: flaws.loop_verbatim,
    Kind.LOOP_COUNTING: flaws.loop_counting,
    Kind.LANGUAGE_SWITCH: flaws.switch_language,
}


@dataclass(frozen=True, slots=True)
class Generation:
    """`answer` is what the final text boxes; None where there is no such thing."""

    response: str
    kind: Kind
    answer: int | None

    @property
    def complete(self) -> bool:
        return "</think>" in self.response

    @property
    def finish_reason(self) -> str:
        return "stop" if self.complete else "length"


def generate(puzzle: Puzzle, kind: Kind, rng: Random) -> Generation:
    """Solve the puzzle once, in a way that depends on the state of `rng`."""
    if kind is Kind.WRONG_ANSWER:
        steps, answer = _solve_wrongly(puzzle, rng)
    else:
        pen = Pen(rng)
        answer, steps = puzzle.solve(pen), pen.steps
    if kind in _DAMAGE:
        steps = _DAMAGE[kind](steps, rng)
    if kind is Kind.NO_TRACE:
        steps = []
    if kind is Kind.NO_ANSWER:
        return Generation(respond(steps, flaws.no_answer(rng)), kind, None)
    response = respond(steps, conclude(answer, rng))
    if kind is Kind.CUT_OFF:
        return Generation(flaws.cut(response, rng), kind, None)
    if kind in RUNAWAY and rng.random() < 0.8:  # most loops are never left
        return Generation(response[: response.index("\n</think>")], kind, None)
    return Generation(response, kind, answer)


def _solve_wrongly(puzzle: Puzzle, rng: Random) -> tuple[list[str], int]:
    """Solve it with one slip that changes the answer; not every slip does, so several places are tried.

    The same random state makes the same search up to the slip. The last calculation leads straight to the answer, hence
    the way back from the end.
    """
    state = rng.getrandbits(64)
    trial = Pen(Random(state))
    right = puzzle.solve(trial)
    places = rng.sample(range(trial.reckoned), min(trial.reckoned, 4))
    for place in chain(places, range(trial.reckoned - 1, -1, -1)):
        pen = Pen(Random(state), slip_at=place)
        answer = puzzle.solve(pen)
        if answer != right:
            return pen.steps, answer
    raise AssertionError(f"no slip changes the answer of {puzzle}")
