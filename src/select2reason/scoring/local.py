"""Scoring on this machine, in this process: shard after shard, and within a shard as many batches at once as the scorer
bears, so that what runs on one core (splitting, hashing) overlaps with what runs on all (tokenising)."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import polars as pl

from select2reason.pool import Pool
from select2reason.scoring.base import Scorer, ScorerSpec, missing_shards, shard_path

Progress = Callable[[int], None]


def score(pool: Pool, spec: ScorerSpec, *, progress: Progress = lambda rows: None) -> None:
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
        try:
            frame.write_parquet(part)
            part.replace(shard_path(folder, shard))
        finally:
            part.unlink(missing_ok=True)


def _score_shard(pool: Pool, scorer: Scorer, spec: ScorerSpec, shard: int, progress: Progress) -> pl.DataFrame:
    frames = []
    for frame in _in_order(scorer, pool.batches(spec.inputs, shard=shard), spec.threads):
        frames.append(frame.select(pl.col(name).cast(dtype) for name, dtype in spec.outputs.items()))
        progress(frame.height)
    return pl.concat(frames)


def _in_order(scorer: Scorer, batches: Iterator[pl.DataFrame], threads: int) -> Iterator[pl.DataFrame]:
    """The batches' scores, in order, with at most `threads` batches in memory beside the one being read."""
    with ThreadPoolExecutor(threads) as executor:
        under_way: deque[Future[pl.DataFrame]] = deque()
        for batch in batches:
            under_way.append(executor.submit(_checked, scorer, batch))
            if len(under_way) > threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _checked(scorer: Scorer, batch: pl.DataFrame) -> pl.DataFrame:
    scored = scorer.score(batch)
    if scored.height != batch.height:
        raise AssertionError(f"{type(scorer).__name__} gave {scored.height} scores for {batch.height} rows")
    return scored
