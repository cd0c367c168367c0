"""All that is known of a pool's rows before a choice is made: traces measured, questions judged, flags laid out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from select2reason import cache, questions
from select2reason.difficulty import Estimator, ask, find_estimator
from select2reason.opening import Opened
from select2reason.pool import Pool
from select2reason.progress import say, stage
from select2reason.recipe import PoolSettings, ScoreSettings
from select2reason.scoring import ScorerSpec, read_scores, score
from select2reason.scoring.base import missing_shards
from select2reason.table import score_table
from select2reason.trace import measure_spec

_SAMPLE = 2_000  # questions of which the estimator's notes judge what kind of pool this is


@dataclass(frozen=True, slots=True)
class Scorers:
    """What measures traces, and where difficulty comes from."""

    traces: ScorerSpec
    estimator: Estimator

    @property
    def of_rows(self) -> list[ScorerSpec]:
        """Those that score the pool's rows, while it is read if they keep up."""
        spec = self.estimator.spec
        return [self.traces, *([spec] if spec and not spec.distinct else [])]

    @property
    def specs(self) -> list[ScorerSpec]:
        """All of them."""
        return [self.traces, *([self.estimator.spec] if self.estimator.spec else [])]


@dataclass(frozen=True, slots=True)
class Scored:
    """A pool and its score table; `notes` are the estimator's."""

    opened: Opened
    table: pl.DataFrame
    scorers: Scorers
    notes: tuple[str, ...]

    @property
    def pool(self) -> Pool:
        """The canonical pool."""
        return self.opened.pool


def find_scorers(scores: ScoreSettings) -> Scorers:
    """The scorers that these settings name. Raises UsageError for a tokenizer or a difficulty that is not known."""
    estimator = find_estimator(scores.difficulty, engine=scores.engine, prompt=scores.judge)
    return Scorers(measure_spec(scores.tokenizer), estimator)


def score_pool(
    opened: Opened, scorers: Scorers, settings: PoolSettings, *, cutoff_tokens: int, dropping: Collection[str]
) -> Scored:
    """Score what is not scored yet, and lay the score table out."""
    pool, estimator = opened.pool, scorers.estimator
    _say_plan(pool, scorers.of_rows, opened.meanwhile)
    for spec in scorers.of_rows:
        if missing := missing_shards(pool, spec):
            with stage(spec.name, sum(pool.shards[shard] for shard in missing)) as advance:
                score(pool, spec, progress=advance)
    difficulty = _difficulty(pool, estimator, settings)
    traces = read_scores(pool, scorers.traces)
    table = score_table(pool, traces, difficulty, cutoff_tokens=cutoff_tokens, dropping=dropping)
    return Scored(opened, table, scorers, tuple(estimator.notes(difficulty, _sample(pool))))


def _difficulty(pool: Pool, estimator: Estimator, settings: PoolSettings) -> pl.DataFrame:
    if estimator.of_pool is not None:
        return estimator.of_pool(pool)
    if estimator.of_questions is not None:
        return estimator.of_questions(pl.concat(questions.texts_of(pool)))
    assert estimator.spec is not None, "an estimator scores, or knows its numbers"
    if estimator.spec.distinct:
        return ask(questions.of_pool(pool, cache.cache_root(settings.cache_dir)), estimator.spec)
    return read_scores(pool, estimator.spec)


def _sample(pool: Pool) -> pl.Series:
    """Questions from all over the pool: the first row group of shards that stand evenly apart."""
    step = max(1, len(pool.shards) // 8)
    parts = [
        next(pool.batches(["question"], shard=n))["question"].head(_SAMPLE // 4)
        for n in range(0, len(pool.shards), step)
    ]
    found = pl.concat([pl.Series("question", [], dtype=pl.String), *parts])
    return found.gather_every(max(1, len(found) // _SAMPLE)).head(_SAMPLE)


def _say_plan(pool: Pool, specs: Sequence[ScorerSpec], meanwhile: Collection[str]) -> None:
    say(f"pool: {pool.rows:,} examples of {len(pool.labels)} files, in {len(pool.shards)} shards")
    for spec in specs:
        missing = len(missing_shards(pool, spec))
        done = "scored while reading" if spec.name in meanwhile else "scored already"
        say(f"plan: {spec.name}: " + (f"{missing} of {len(pool.shards)} shards to score" if missing else done))
