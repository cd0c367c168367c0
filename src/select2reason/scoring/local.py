"""Scoring on this machine: shard after shard in this process (the libraries below use all cores)."""

from __future__ import annotations

import os
from collections.abc import Callable

import polars as pl

from select2reason.pool import Pool
from select2reason.scoring.base import Scorer, ScorerSpec, missing_shards, shard_path


def score(pool: Pool, spec: ScorerSpec, *, progress: Callable[[int], None] = lambda rows: None) -> None:
    """Score the shards that are missing; `progress` is told the rows of each batch done."""
    missing = missing_shards(pool, spec)
    if not missing:
        return
    folder = spec.folder(pool)
    folder.mkdir(parents=True, exist_ok=True)
    scorer = spec.make()
    for shard in missing:
        frame = _score_shard(pool, scorer, spec, shard, progress)
        part = folder / f"{shard:05}.{os.getpid()}.part"
        frame.write_parquet(part)
        part.replace(shard_path(folder, shard))


def _score_shard(
    pool: Pool, scorer: Scorer, spec: ScorerSpec, shard: int, progress: Callable[[int], None]
) -> pl.DataFrame:
    frames = []
    for batch in pool.batches(spec.inputs, shard=shard):
        scored = scorer.score(batch)
        if scored.height != batch.height:
            raise AssertionError(f"{spec.name} gave {scored.height} scores for {batch.height} rows")
        frames.append(scored.select(pl.col(name).cast(dtype) for name, dtype in spec.outputs.items()))
        progress(batch.height)
    return pl.concat(frames)
