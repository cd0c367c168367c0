"""The estimators of METHOD 2 by the names that users give them: builtin, judge, reward:DIR, rollout:DIR, column:NAME.

An estimator either scores questions (a ScorerSpec), or brings numbers that were made before. What its user should know
of the scores, beyond the scores, are its notes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl

from select2reason.backends import BackendSettings
from select2reason.difficulty.base import builtin_spec, column_difficulty, refuse_unknown_column
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


@dataclass(frozen=True, slots=True)
class Estimator:
    """Where difficulty comes from. `spec` scores; without one, `given` reads what the pool or an earlier run brings:
    `difficulty` (Float64) and what stands beside it, row for row. `notes` takes the scores and a sample of questions."""

    name: str
    spec: ScorerSpec | None = None
    given: Callable[[Pool], pl.DataFrame] | None = None
    check: Callable[[Sequence[str]], None] = _no_check
    notes: Callable[[pl.DataFrame, pl.Series], Iterator[str]] = _no_notes
    about: Mapping[str, object] = field(default_factory=dict)


def find_estimator(
    choice: str, *, engine: BackendSettings | None = None, prompt: JudgePrompt | None = None
) -> Estimator:
    """The estimator of a --difficulty. Raises UsageError for one that is not known, or that is not there."""
    kind, _, where = choice.partition(":")
    if choice == "builtin":
        return Estimator("builtin", builtin_spec())
    if choice == "judge":
        return _judge(engine, prompt or JudgePrompt())
    if kind == "column" and where:
        return Estimator(
            choice, given=partial(_column, where), check=partial(refuse_unknown_column, where), about={"column": where}
        )
    if kind == "rollout" and where:
        from select2reason.difficulty.rollout import rollout_difficulty

        return Estimator(choice, given=partial(rollout_difficulty, Path(where)))
    if kind == "reward" and where:
        from select2reason.difficulty.reward_scoring import reward_spec

        return Estimator("reward", reward_spec(Path(where)))
    raise UsageError(f"--difficulty {choice} is not known; it can be {', '.join(CHOICES)}")


def _judge(engine: BackendSettings | None, prompt: JudgePrompt) -> Estimator:
    if engine is None:
        raise UsageError("--difficulty judge needs a model: --model M, or --backend openai --base-url URL --model M")
    about = {"backend": engine.described, "system": prompt.system, "prompt": prompt.user}
    return Estimator("judge", judge_spec(engine, prompt), notes=_judge_notes, about=about)


def _judge_notes(scores: pl.DataFrame, questions: pl.Series) -> Iterator[str]:
    return judge_notes(scores)


def _column(name: str, pool: Pool) -> pl.DataFrame:
    return pl.DataFrame(column_difficulty(pool, name))
