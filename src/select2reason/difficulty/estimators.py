"""The estimators of METHOD 2 by the names that users give them: builtin, judge, reward:DIR, rollout:DIR, column:NAME.

An estimator either scores questions (a ScorerSpec), or brings numbers that were made before. What its user should know
of the scores, beyond the scores, are its notes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from select2reason.backends import BackendSettings
from select2reason.difficulty.column import column_difficulty, refuse_unknown_column
from select2reason.difficulty.judge import JudgePrompt, judge_notes, judge_spec
from select2reason.errors import UsageError
from select2reason.pool import Pool
from select2reason.scoring.base import ScorerSpec

CHOICES = ("builtin", "judge", "reward:DIR", "rollout:DIR", "column:NAME")


def _no_check(own: Sequence[str]) -> None:
    """Nothing is asked of the pool's own columns."""


def _no_notes(scores: pl.DataFrame, questions: pl.Series) -> Iterator[str]:
    """Nothing needs saying."""
    return iter(())


def _nothing_seen(questions: pl.Series) -> str | None:
    """It was fitted on no question."""
    return None


@dataclass(frozen=True, slots=True)
class Estimator:
    """Where difficulty comes from: `spec` scores, `of_questions` knows what was measured before, or `of_pool` reads
    what a pool brings. They give `difficulty` (Float64) and what stands beside it, row for row; `notes` takes these
    and a sample of the questions, `check` the names of the pool's own columns before it is read; `seen` says
    why labels of these questions prove less: the model was fitted on some of them."""

    name: str
    spec: ScorerSpec | None = None
    of_questions: Callable[[pl.Series], pl.DataFrame] | None = None
    of_pool: Callable[[Pool], pl.DataFrame] | None = None
    seen: Callable[[pl.Series], str | None] = _nothing_seen
    check: Callable[[Sequence[str]], None] = _no_check
    notes: Callable[[pl.DataFrame, pl.Series], Iterator[str]] = _no_notes


def find_estimator(
    choice: str, *, engine: BackendSettings | None = None, prompt: JudgePrompt | None = None
) -> Estimator:
    """The estimator of a --difficulty. Raises UsageError for one that is not known, or that is not there."""
    kind, _, where = choice.partition(":")
    folder = Path(where).expanduser()
    if choice == "builtin":
        from select2reason.difficulty.builtin import builtin_notes, builtin_seen, builtin_spec

        return Estimator("builtin", builtin_spec(), notes=builtin_notes, seen=builtin_seen)
    if choice == "judge":
        return _judge(engine, prompt or JudgePrompt())
    if kind == "column" and where:
        return Estimator(choice, of_pool=partial(_column, where), check=partial(refuse_unknown_column, where))
    if kind == "rollout" and where:
        from select2reason.difficulty.rollout import rollout_difficulty

        return Estimator(choice, of_questions=partial(rollout_difficulty, folder))
    if kind == "reward" and where:
        from select2reason.difficulty.reward_fit import reward_seen
        from select2reason.difficulty.reward_scoring import reward_spec

        return Estimator("reward", reward_spec(folder), seen=partial(reward_seen, folder))
    raise UsageError(f"--difficulty {choice} is not known; it can be {', '.join(CHOICES)}")


def _judge(engine: BackendSettings | None, prompt: JudgePrompt) -> Estimator:
    if engine is None:
        raise UsageError("--difficulty judge needs a model: --model M, or --backend openai --base-url URL --model M")
    return Estimator("judge", judge_spec(engine, prompt), notes=_judge_notes)


def _judge_notes(scores: pl.DataFrame, questions: pl.Series) -> Iterator[str]:
    return judge_notes(scores)


def _column(name: str, pool: Pool) -> pl.DataFrame:
    return pl.DataFrame(column_difficulty(pool, name))
