"""Ray itself: joined or started, kept from talking among our own words, and the room that its machines have."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from select2reason.errors import RunError, UsageError, in_a_line
from select2reason.progress import say
from select2reason.scoring.base import ScorerSpec

_CORES = 4  # of a CPU worker: its threads share one tokenizer, and a machine holds few tokenizers
_STORE_BYTES = 128 << 20  # of a Ray of our own: nothing but numbers travels through it
_BLOCK_BYTES = 1 << 20
_ANSWER_S = 20.0  # of a cluster that is there
_PASSED_ON = ("ARROW_DEFAULT_MEMORY_POOL", "_RJEM_MALLOC_CONF")


def connect(address: str | None) -> bool:
    """Join a cluster, or start a Ray for as long as this process lives; one that this process has joined already is
    used, and is not ours to leave (False)."""
    for name, value in {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        return ray._private.worker.print_to_stdstream is _unsaid
    joined = address or os.environ.get("RAY_ADDRESS") or "local"
    own = {"include_dashboard": False, "object_store_memory": _STORE_BYTES} if joined == "local" else {}
    say("starting Ray" if joined == "local" else f"joining Ray at {joined}")
    try:
        _refuse_unreachable(joined)
        with _signals_kept(), _silent():
            ray.init(address=joined, log_to_driver=False, logging_level=logging.ERROR, **own)
            ray._private.worker.print_to_stdstream = _unsaid  # it would print of dead workers among our results
    except (OSError, RuntimeError, ValueError, ImportError, ray.exceptions.RayError) as error:
        told = in_a_line(error)
        fix = "start one with: ray start --head (its token: RAY_AUTH_MODE=token), or leave --ray-address out"
        if joined == "local":
            fix = "mend that, or leave --engine ray out"
        raise UsageError(f"Ray cannot be used at {joined} ({told}); {fix}") from error
    return True


def leave() -> None:
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
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in handlers.items() if handler is not None}  # None: not Python's
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def quiet() -> Iterator[None]:
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
    words = logging.getLogger("ray.data")
    level = words.level
    words.setLevel(logging.CRITICAL)
    try:
        for holder, name, value in wanted:
            setattr(holder, name, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for (holder, name, _), value in zip(wanted, before, strict=True):
            setattr(holder, name, value)
        words.setLevel(level)


# --- room -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Room:
    """What one worker takes, how many there is room for, and the scorer as it is to run there."""

    spec: ScorerSpec
    cpus: float
    gpus: float
    workers: int
    ahead: int  # shards in a worker's hands, the one that it is at among them
    environment: Mapping[str, str]


def room(spec: ScorerSpec) -> Room:
    """A GPU scorer takes the GPUs of one model, or a whole machine where the cluster has no GPU; another scorer takes
    up to _CORES cores. One worker fits at least, however small the largest machine is."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    plain = spec.alone()
    if spec.gpus is not None and any(gpus):
        each = _asked_of_a_gpu(spec.gpus)
        workers = max(1, sum(count // each for count in gpus))
        return Room(plain, 0, each, workers, 2, passed_on)
    most = max([1, *cpus])
    each = _whole_machines(cpus) if spec.gpus is not None else min(_CORES, most)
    workers = max(1, sum(count // each for count in cpus))
    threads = min(spec.threads, each + 1)
    return Room(replace(plain, threads=threads), each, 0, workers, 1, passed_on | {"POLARS_MAX_THREADS": str(each)})


def _whole_machines(cpus: Sequence[int]) -> int:
    """The cores of a worker that is to have a machine to itself: of the sizes that there are, that which leaves the
    fewest cores idle; the larger of two."""
    return max(
        (size for size in cpus if size), key=lambda size: (sum(one // size * size for one in cpus), size), default=1
    )


def _asked_of_a_gpu(gpus: Callable[[], int]) -> int:
    """How many GPUs one model takes, asked where they are: this machine may have none."""
    import ray

    look = ray.remote(_told).options(
        num_cpus=0, num_gpus=0.01, runtime_env={"env_vars": {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}}
    )
    asked = look.remote(gpus)
    try:
        if not ray.wait([asked], timeout=_ANSWER_S)[0]:
            say("waiting for a GPU of the cluster to be free")
        found = ray.get(asked)
    except ray.exceptions.RayError as error:
        told = in_a_line(error)
        raise RunError(f"a machine with a GPU cannot say how many a model takes ({told})") from error
    if isinstance(found, str):
        raise UsageError(found)
    return int(found)


def _told(gpus: Callable[[], int]) -> int | str:
    try:
        return gpus()
    except UsageError as error:
        return str(error)
