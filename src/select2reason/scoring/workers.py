"""Scoring by several processes, each with a GPU of its own: data in parallel, never one model over several GPUs.

The shards are dealt out one at a time, so that a slow one holds nobody up. A worker that fails ends the others; what
they had finished stays, and the next run goes on from there.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from select2reason.backends.loading import gpu_count
from select2reason.errors import RunError, Select2ReasonError, UsageError
from select2reason.pool import Pool
from select2reason.scoring.base import ScorerSpec

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_GPUS = "CUDA_VISIBLE_DEVICES"
_LOOK_S = 1.0  # how often a worker that died without a word is looked for


def score_shards(
    pool: Pool, spec: ScorerSpec, shards: Sequence[int], *, workers: int, progress: Callable[[int], None]
) -> None:
    """Score these shards; `progress` is told the rows of each batch done. Raises what a worker raised."""
    context = multiprocessing.get_context("spawn")
    todo, told = context.Queue(), context.Queue()
    for shard in [*shards, *[None] * workers]:
        todo.put(shard)
    plain = spec.alone()
    running = [context.Process(target=_work, args=(pool, plain, _gpus(n, workers), todo, told)) for n in range(workers)]
    try:
        for process in running:
            process.start()
        _listen(told, running, progress)
    finally:
        for process in running:
            process.kill()
            process.join()


def _listen(told: multiprocessing.Queue[object], running: list[SpawnProcess], progress: Callable[[int], None]) -> None:
    left = len(running)
    while left:
        try:
            word = told.get(timeout=_LOOK_S)
        except queue.Empty:
            if dead := [process.exitcode for process in running if process.exitcode]:
                raise RunError(f"a scoring worker died (exit code {dead[0]}); run the same command again") from None
            continue
        if isinstance(word, Select2ReasonError):
            raise word
        if isinstance(word, int):
            progress(word)
        left -= word is None


def _work(
    pool: Pool,
    spec: ScorerSpec,
    gpus: str,
    todo: multiprocessing.Queue[int | None],
    told: multiprocessing.Queue[object],
) -> None:
    """One worker: shards until there are none. What it tells: rows done, an error, None at its end."""
    from select2reason.scoring.local import Scoring

    os.environ[_GPUS] = gpus
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with Scoring(spec, progress=told.put) as scoring:
            while (shard := todo.get()) is not None:
                scoring.score_shard(pool, shard)
                scoring.drain()
    except Select2ReasonError as error:
        told.put(UsageError(str(error)) if isinstance(error, UsageError) else RunError(str(error)))
    told.put(None)


def _end_with_parent() -> None:
    """Where the run is killed, its workers must not go on beside the next one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _gpus(number: int, workers: int) -> str:
    """The number-th worker's even share of the GPUs that this process may use."""
    named = [one for one in os.environ.get(_GPUS, "").split(",") if one.strip()]
    allowed = named or [str(one) for one in range(gpu_count())]
    share = len(allowed) // workers
    return ",".join(allowed[number * share : (number + 1) * share])
