"""Scoring on this machine, in this process: as many batches at once as the scorer bears, shard after shard; over a pool
that stands, or over one while it is built."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import polars as pl

from select2reason.pool import Pool
from select2reason.scoring.base import Scorer, ScorerSpec, missing_shards, shard_path

Progress = Callable[[int], None]


def score(pool: Pool, spec: ScorerSpec, *, progress: Progress = lambda rows: None) -> None:
    """Score the shards that are missing; `progress` is told the rows of each batch done."""
    missing = missing_shards(pool, spec)
    if not missing:
        return
    with Scoring(spec, progress=progress) as scoring:
        for shard in missing:
            for batch in pool.batches(spec.inputs, shard=shard):
                scoring.add(batch)
            scoring.finish(pool.root, shard)


class Scoring:
    """Scores the batches that it is given, in order, and writes a shard whenever one is whole (a `building.Watcher`).

    At most `spec.threads` batches are in memory beside the one that is added.
    """

    def __init__(self, spec: ScorerSpec, *, progress: Progress = lambda rows: None) -> None:
        self._spec = spec
        self._scorer = spec.make()
        self._progress = progress
        self._threads = ThreadPoolExecutor(spec.threads)
        self._under_way: deque[Future[pl.DataFrame]] = deque()
        self._scored: list[pl.DataFrame] = []

    def __enter__(self) -> Scoring:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._threads.shutdown(cancel_futures=True)

    def add(self, batch: pl.DataFrame) -> None:
        """Score a batch beside the caller; waits while as many as may be are under way."""
        inputs = batch.select(self._spec.inputs)
        self._under_way.append(self._threads.submit(_checked, self._scorer, inputs))
        self._take(all_but=self._spec.threads)

    def finish(self, root: Path, shard: int) -> None:
        """Write what was added since the last call as this shard of the pool at `root`."""
        self._take(all_but=0)
        folder = self._spec.folder(root)
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{shard:05}.{os.getpid()}.part"
        try:
            pl.concat(self._scored).write_parquet(part)
            part.replace(shard_path(folder, shard))
        finally:
            part.unlink(missing_ok=True)
        self._scored = []

    def _take(self, *, all_but: int) -> None:
        while len(self._under_way) > all_but:
            scored = self._under_way.popleft().result()
            self._scored.append(scored.select(pl.col(name).cast(dtype) for name, dtype in self._spec.outputs.items()))
            self._progress(scored.height)


def _checked(scorer: Scorer, batch: pl.DataFrame) -> pl.DataFrame:
    scored = scorer.score(batch)
    if scored.height != batch.height:
        raise AssertionError(f"{type(scorer).__name__} gave {scored.height} scores for {batch.height} rows")
    return scored
