"""Scoring on this machine: as many batches at once as the scorer bears, shard after shard; over a pool that stands, or
over one while it is built. Scorers with a GPU each work in processes of their own (workers.py), and Ray's workers score
by what is here (by_ray)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import polars as pl

from select2reason import memory
from select2reason.frames import joined
from select2reason.pool import Pool
from select2reason.scoring.base import RaySettings, Schema, Scorer, ScorerSpec, missing_shards, shard_path, write_shard

Progress = Callable[[int], None]
_HELD_BYTES = 4 << 20  # of text that is put together to make a batch: of questions some 10,000


def score(
    pool: Pool, spec: ScorerSpec, *, ray: RaySettings | None = None, progress: Progress = lambda rows: None
) -> None:
    """Score the shards that are missing, here or by Ray; `progress` is told the rows of each batch done."""
    missing = missing_shards(pool, spec)
    if not missing:
        return
    if ray is not None and not spec.served:
        from select2reason.scoring.by_ray import score_by_ray

        score_by_ray(pool, spec, missing, ray, progress=progress)
        return
    if (workers := min(spec.workers(), len(missing))) > 1:
        from select2reason.scoring.workers import score_shards

        score_shards(pool, spec, missing, workers=workers, progress=progress)
        return
    with Scoring(spec, progress=progress) as scoring:
        for shard in missing:
            scoring.score_shard(pool, shard)
            memory.give_back()
        scoring.drain()


class Scoring:
    """Scores the batches that it is given, in order, and writes a shard whenever one is whole (a `building.Watcher`).

    At most `spec.threads` batches are in memory beside the one that is added.
    """

    def __init__(self, spec: ScorerSpec, *, progress: Progress = lambda rows: None) -> None:
        self._spec = spec
        self._scorer = spec.make()
        self._progress = progress
        self._threads = ThreadPoolExecutor(spec.threads)
        self._under_way: deque[Future[pl.DataFrame] | Path] = deque()  # a path: the shard that ends there
        self._batches = 0  # of them
        self._scored: list[pl.DataFrame] = []
        self._held: list[pl.DataFrame] = []  # what does not make up a batch yet

    def __enter__(self) -> Scoring:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """After a failure a batch that is under way is not waited for: it may take minutes, and its model is going."""
        self._threads.shutdown(wait=kind is None, cancel_futures=True)
        self._scorer.close()

    def add(self, batch: pl.DataFrame) -> None:
        """Score a batch beside the caller; waits while as many as may be are under way."""
        self._held.append(batch[[*self._spec.inputs]])
        whole = sum(map(len, self._held)) >= self._spec.batch_rows
        if whole or sum(held.estimated_size() for held in self._held) >= _HELD_BYTES:
            self._submit()

    def _submit(self) -> None:
        if not self._held:
            return
        self._under_way.append(self._threads.submit(_checked, self._scorer, joined(self._held)))
        self._held = []
        self._batches += 1
        self._take(all_but=self._spec.threads)

    def finish(self, root: Path, shard: int) -> None:
        """What was added since the last call is this shard of the pool at `root`; it is written once it is scored."""
        self._submit()
        self._under_way.append(shard_path(self._spec.folder(root), shard))

    def score_shard(self, pool: Pool, shard: int) -> None:
        """Add a shard of a pool that stands, and finish it."""
        for batch in pool.batches(self._spec.inputs, shard=shard):
            self.add(batch)
        self.finish(pool.root, shard)

    def drain(self) -> None:
        """Wait until everything that was added is scored and written."""
        self._take(all_but=0)

    def _take(self, *, all_but: int) -> None:
        while self._under_way and (self._batches > all_but or isinstance(self._under_way[0], Path)):
            first = self._under_way.popleft()
            if isinstance(first, Path):
                write_shard(pl.concat(self._scored), first)
                self._scored = []
                continue
            scored = first.result()
            self._batches -= 1
            self._scored.append(_typed(scored, self._spec.outputs))
            self._progress(scored.height)


def _typed(scored: pl.DataFrame, outputs: Schema) -> pl.DataFrame:
    """The columns that are to be kept, of the types that they are to have."""
    if all(scored.schema.get(name) == dtype for name, dtype in outputs.items()):
        return scored[[*outputs]]
    return scored.select(pl.col(name).cast(dtype) for name, dtype in outputs.items())


def _checked(scorer: Scorer, batch: pl.DataFrame) -> pl.DataFrame:
    scored = scorer.score(batch)
    if scored.height != batch.height:
        raise AssertionError(f"{type(scorer).__name__} gave {scored.height} scores for {batch.height} rows")
    return scored
