"""Putting distinct questions to a slow scorer: what it will cost is said before, and no question is scored twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from select2reason.progress import say, stage
from select2reason.scoring import RaySettings, ScorerSpec, read_scores, score
from select2reason.scoring.base import missing_shards
from select2reason.tokens import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from select2reason.pool import Pool
    from select2reason.questions import Questions


def ask(questions: Questions, spec: ScorerSpec, *, ray: RaySettings | None = None) -> pl.DataFrame:
    """The scores of every row, from those of its question. What the cache holds is not scored again."""
    pool = questions.pool
    missing = missing_shards(pool, spec)
    say(_plan(questions, spec, missing, ray))
    if missing:
        with stage(spec.name, sum(pool.shards[shard] for shard in missing), unit="questions") as advance:
            score(pool, spec, ray=ray, progress=advance)
    return questions.to_rows(read_scores(pool, spec))


def _plan(questions: Questions, spec: ScorerSpec, missing: Sequence[int], ray: RaySettings | None) -> str:
    pool = questions.pool
    asked = f"plan: {spec.name}: {pool.rows:,} distinct questions of {len(questions.of_row):,} rows"
    if not missing:
        return f"{asked}, scored already"
    left = sum(pool.shards[shard] for shard in missing)
    tokens = f", about {_tokens(pool, spec, missing):,} tokens" if spec.prompt_tokens is not None else ""
    workers = 1 if ray is not None else spec.workers()
    beside = f", {workers} workers" if workers > 1 else ""
    return f"{asked}: {left:,} to score{tokens}{beside}; the time left is told from the first batches on"


def _tokens(pool: Pool, spec: ScorerSpec, missing: Sequence[int]) -> int:
    """Of all prompts to come, counted with the built-in tokenizer: near enough for a plan."""
    tokenizer, total = load_tokenizer(), 0
    for shard in missing:
        for batch in pool.batches(["question"], shard=shard):
            total += int(tokenizer.count(batch["question"]).sum()) + batch.height * (spec.prompt_tokens or 0)
    return total
