"""Scoring by Ray: the shards of a pool dealt out by Ray Data to workers on one machine or on all those of a cluster.

A worker reads a shard's text, scores it as `local.Scoring` does and writes its score shard, whole or not at all; only
the shard's number and its rows travel back. A worker that dies is started again by Ray and costs the shard that it was
at; what is finished stays, for the next run too. Which rows are chosen does not depend on who scored them.
"""

from __future__ import annotations

import gc
import logging
import os
import platform
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import polars as pl
import pyarrow as pa

from select2reason.errors import RunError, Select2ReasonError, UsageError
from select2reason.pool import Pool
from select2reason.progress import say
from select2reason.scoring.base import RaySettings, ScorerSpec, shard_path
from select2reason.scoring.local import Scoring
from select2reason.scoring.storage import KeptPool, Storage, text_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from select2reason.scoring.local import Progress

_CORES = 4  # of a CPU worker: its threads share one tokenizer, and a machine holds few tokenizers
_TRIES = 4  # of a shard whose workers die
_STORE_BYTES = 128 << 20  # of a Ray of our own: nothing but numbers travels through it
_BLOCK_BYTES = 1 << 20
_ANSWER_S = 20.0  # of a cluster that is there
_SEEN_S = 60.0  # NFS may show a new file that late
_SAME = ("select2reason", "polars", "pyarrow", "numpy", "gigatoken", "tokenizers", "math-verify", "sympy")
_PASSED_ON = ("ARROW_DEFAULT_MEMORY_POOL", "_RJEM_MALLOC_CONF")


def check_ray(settings: RaySettings) -> None:
    """Raises UsageError where Ray, or what the storage takes, is not installed: before a pool is read for it."""
    if find_spec("ray") is None:
        raise UsageError("--engine ray needs the package ray: pip install 'select2reason[ray]'")
    if settings.storage is not None:
        Storage(settings.storage).check()


def score_by_ray(
    pool: Pool, spec: ScorerSpec, shards: Sequence[int], settings: RaySettings, *, progress: Progress
) -> None:
    """Score these shards; `progress` is told the rows of each that is done. Raises what a worker raised.

    Raises UsageError where Ray is missing or the cluster cannot be reached.
    """
    check_ray(settings)
    pool = replace(pool, root=pool.root.absolute())
    _connect(settings.address)
    kept = None if settings.storage is None else KeptPool.of(pool, spec, settings.storage)
    left = list(shards) if kept is None else kept.prepare(shards, progress)
    done = []
    try:
        with closing(_dealt_out(pool, spec, left, kept)) as scored:
            for shard in scored:
                if kept is not None:
                    kept.fetch(shard)
                done.append(shard)
                progress(pool.shards[shard])
    except BaseException as error:
        if not isinstance(error, Exception):  # interrupted: this process may end without a word to Ray
            _leave()
        raise
    _refuse_unseen(spec.folder(pool.root), done)


# --- workers --------------------------------------------------------------------------------------------------------


@contextmanager
def _seen(pool: Pool, shard: int) -> Iterator[Pool]:
    """On a worker: the pool where it stands. Raises UsageError where this machine does not see it."""
    if not text_file(pool.root, shard).is_file():
        raise UsageError(f"{platform.node()} does not see {pool.root}; {_SHARED}")
    yield pool


_SHARED = "name a folder or URL that all machines reach: --ray-storage s3://bucket/prefix"


def _refuse_unseen(folder: Path, shards: Sequence[int]) -> None:
    """What a worker wrote must be seen here as well."""
    until = time.monotonic() + _SEEN_S
    while unseen := [shard for shard in shards if not shard_path(folder, shard).exists()]:
        if time.monotonic() > until:
            raise UsageError(f"{len(unseen)} shards were scored where this machine does not see them; {_SHARED}")
        time.sleep(1)
        if folder.is_dir():
            list(folder.iterdir())  # asks the disk's server anew


class _Worker:
    """Scores shards one after another with one scorer, which is made when the first comes.

    What it refuses goes back as a row, for an error that it raised would come with Ray's own.
    """

    def __init__(
        self, pool: Pool, spec: ScorerSpec, kept: KeptPool | None, tries: object, most: int, versions: Mapping[str, str]
    ) -> None:
        self._pool, self._spec, self._kept, self._versions = pool, spec, kept, versions
        self._tries, self._most = tries, most
        self._scoring: Scoring | None = None

    def __call__(self, batch: Mapping[str, NDArray[np.int64]]) -> dict[str, list[object]]:
        shard = int(batch["shard"][0])
        told, usage, tries = "", False, 0
        try:
            _refuse_other_versions(self._versions)
            tries = _begun(self._tries, shard)
            self._score(shard, tries)
        except (Select2ReasonError, OSError, pl.exceptions.PolarsError, pa.ArrowException) as error:
            self._let_go(error)
            told, usage = _one_line(error), isinstance(error, UsageError)
        return {"shard": [shard], "error": [told], "usage": [usage], "tries": [tries]}

    def _score(self, shard: int, tries: int) -> None:
        if tries > self._most:
            raise RunError(
                f"{self._most} workers died over shard {shard} of {self._spec.name}; "
                "where memory ran out, give them more, and run the same command again"
            )
        with _seen(self._pool, shard) if self._kept is None else self._kept.borrowed(shard) as pool:
            if self._scoring is None:
                self._scoring = Scoring(self._spec)
            self._scoring.score_shard(pool, shard)
            self._scoring.drain()

    def _let_go(self, error: Exception) -> None:
        """What is left of a shard that failed must not come into the next one."""
        if self._scoring is not None:
            self._scoring.__exit__(type(error), error, None)
            self._scoring = None


class _Tries:
    """Counts how often each shard was begun, beside the workers: those that die cannot."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}

    def begin(self, shard: int) -> int:
        self._begun[shard] = self._begun.get(shard, 0) + 1
        return self._begun[shard]


def _begun(tries: object, shard: int) -> int:
    import ray

    return int(ray.get(tries.begin.remote(shard)))  # type: ignore[attr-defined]


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _SAME}


def _refuse_other_versions(wanted: Mapping[str, str]) -> None:
    """Other versions may score otherwise, under the same name."""
    if differ := [name for name, here in _versions().items() if here != wanted[name]]:
        name = differ[0]
        raise UsageError(
            f"{platform.node()} has {name} {version(name)}, this machine {wanted[name]}; install the same everywhere: "
            f"pip install {name}=={wanted[name]}"
        )


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error} on {platform.node()}{f': {error.filename}' if error.filename else ''}"
    return (
        str(error)
        if isinstance(error, Select2ReasonError)
        else f"{platform.node()}: {str(error).partition(chr(10))[0]}"
    )


# --- Ray ------------------------------------------------------------------------------------------------------------


def _connect(address: str | None) -> None:
    """Join a cluster, or start a Ray for as long as this process lives; one that is there already is used."""
    for name, value in {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        return
    joined = address or os.environ.get("RAY_ADDRESS") or "local"
    own = {"include_dashboard": False, "object_store_memory": _STORE_BYTES} if joined == "local" else {}
    say("starting Ray" if joined == "local" else f"joining Ray at {joined}")
    try:
        _refuse_unreachable(joined)
        with _signals_kept(), _silent():
            ray.init(address=joined, log_to_driver=False, logging_level=logging.ERROR, **own)
            ray._private.worker.print_to_stdstream = _unsaid  # it would print of dead workers among our results
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        told = " ".join(str(error).split())[:200]
        fix = "start one with: ray start --head (its token: RAY_AUTH_MODE=token), or leave --ray-address out"
        raise UsageError(f"Ray cannot be used at {joined} ({told}); {fix}") from error


def _leave() -> None:
    import ray

    ray.shutdown()


def _refuse_unreachable(address: str) -> None:
    """Raises OSError where nobody answers: Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()


def _unsaid(*_: object, **__: object) -> None:
    """Nothing."""


@contextmanager
def _silent() -> Iterator[None]:
    """Ray's own warnings, and what its libraries write past Python; errors are raised all the same."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray would end the process on SIGTERM without a word."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _dealt_out(
    pool: Pool, spec: ScorerSpec, shards: Sequence[int], kept: KeptPool | None
) -> Generator[int, None, None]:
    """Numbers of the shards as they are scored."""
    if not shards:
        return
    import ray.data

    room = _room(spec)
    tries = ray.remote(_Tries).options(num_cpus=0).remote()
    workers = min(len(shards), room.workers)
    with _quiet():
        scored = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        scored = scored.map_batches(
            _Worker,
            batch_size=1,
            fn_constructor_args=(pool, room.spec, kept, tries, _TRIES, _versions()),
            compute=ray.data.ActorPoolStrategy(
                min_size=1, initial_size=workers, max_size=len(shards), max_tasks_in_flight_per_actor=room.ahead
            ),
            num_cpus=room.cpus,
            num_gpus=room.gpus,
            runtime_env={"env_vars": room.environment},
        )
        rows = iter(scored.iter_rows())
        del scored  # an error would keep it, and with it the workers and their room
        yield from _told_of(rows)


def _told_of(rows: Generator[Mapping[str, object], None, None]) -> Generator[int, None, None]:
    """The shards of what the workers send back. What they refuse is raised, and what Ray cannot do, as a line; a
    defect of a scorer with its traceback, as anywhere else."""
    from ray.exceptions import RayError, RayTaskError

    failure: Exception | None = None
    try:
        for row in rows:
            if row["error"]:
                raise (UsageError if row["usage"] else RunError)(str(row["error"]))
            if cast(int, row["tries"]) > 1:
                say(f"a worker died over shard {row['shard']}; another has scored it")
            yield cast(int, row["shard"])
    except RayTaskError as error:
        failure = RuntimeError(str(error))
    except RayError as error:
        told = " ".join(str(error).split())[:300]
        failure = RunError(f"Ray failed ({told}); what was finished is kept: run the same command again")
    finally:
        rows.close()
    if failure is not None:  # raised here, for Ray's own would keep the workers alive, and their room taken
        gc.collect()
        raise failure


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray Data without words and bars of its own, and with a worker for every place that there is."""
    from ray.data import DataContext

    context = DataContext.get_current()
    wanted = (
        (context, "enable_progress_bars", False),
        (context, "print_on_execution_start", False),
        (context, "target_max_block_size", _BLOCK_BYTES),  # what a task is thought to need of the object store
        (context.autoscaling_config, "actor_pool_util_upscaling_threshold", 1.0),
    )
    before = [getattr(holder, name) for holder, name, _ in wanted]
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        for holder, name, value in wanted:
            setattr(holder, name, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for (holder, name, _), value in zip(wanted, before, strict=True):
            setattr(holder, name, value)


# --- room -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Room:
    """What one worker takes, how many there is room for, and the scorer as it is to run there."""

    spec: ScorerSpec
    cpus: float
    gpus: float
    workers: int
    ahead: int  # shards in a worker's hands, the one that it is at among them
    environment: Mapping[str, str]


def _room(spec: ScorerSpec) -> _Room:
    """A GPU scorer takes the GPUs of one model, or a whole machine where the cluster has no GPU; another scorer takes
    up to _CORES cores. One worker fits at least, however small the largest machine is."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    plain = replace(spec, wake=_idle, workers=_alone)
    if spec.gpus is not None and any(gpus):
        each = _asked_of_a_gpu(spec.gpus)
        workers = max(1, sum(count // each for count in gpus))
        return _Room(plain, 0, each, workers, 2, passed_on)
    most = max([1, *cpus])
    each = most if spec.gpus is not None else min(_CORES, most)
    workers = max(1, sum(count // each for count in cpus))
    threads = min(spec.threads, each + 1)
    return _Room(replace(plain, threads=threads), each, 0, workers, 1, passed_on | {"POLARS_MAX_THREADS": str(each)})


def _asked_of_a_gpu(gpus: Callable[[], int]) -> int:
    """How many GPUs one model takes, asked where they are: this machine may have none."""
    import ray

    look = ray.remote(_told).options(
        num_cpus=0, num_gpus=0.01, runtime_env={"env_vars": {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}}
    )
    found = ray.get(look.remote(gpus))
    if isinstance(found, str):
        raise UsageError(found)
    return int(found)


def _told(gpus: Callable[[], int]) -> int | str:
    try:
        return gpus()
    except UsageError as error:
        return str(error)


def _idle() -> None:
    """A worker loads when it makes its scorer."""


def _alone() -> int:
    return 1
