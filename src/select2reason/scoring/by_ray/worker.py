"""One of Ray's workers: it reads a shard's text, scores it as `local.Scoring` does, and writes its score shard."""

from __future__ import annotations

import pickle
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from select2reason.errors import RunError, Select2ReasonError, UsageError
from select2reason.pool import Pool
from select2reason.scoring.base import ScorerSpec
from select2reason.scoring.by_ray.storage import KeptPool
from select2reason.scoring.local import Scoring
from select2reason.text_shards import text_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHARED = "name a folder or URL that all machines reach: --ray-storage s3://bucket/prefix"
_SAME = ("select2reason", "polars", "pyarrow", "numpy", "gigatoken", "tokenizers", "math-verify", "sympy")


@contextmanager
def _seen(pool: Pool, shard: int) -> Iterator[Pool]:
    """On a worker: the pool where it stands. Raises UsageError where this machine does not see it."""
    if not text_file(pool.root, shard).is_file():
        raise UsageError(f"{platform.node()} does not see {pool.root}; {SHARED}")
    yield pool


class Worker:
    """Scores shards one after another with one scorer, which is made when the first comes.

    What it refuses goes back as a row, for an error that it raised would come with Ray's own.
    """

    def __init__(self, job: bytes, tries: object, most: int, versions: Mapping[str, str]) -> None:
        self._job, self._versions = job, versions
        self._tries, self._most = tries, most
        self._opened: tuple[Pool, KeptPool | None, ScorerSpec] | None = None
        self._scoring: Scoring | None = None

    def __call__(self, batch: Mapping[str, NDArray[np.int64]]) -> dict[str, list[object]]:
        shard = int(batch["shard"][0])
        told, usage, tries = "", False, 0
        try:
            _refuse_other_versions(self._versions)
            tries = _begun(self._tries, shard)
            if self._opened is None:  # not before: what it opens may refuse this machine
                self._opened = pickle.loads(self._job)
            self._score(shard, tries, *self._opened)
        except (Select2ReasonError, OSError, pl.exceptions.PolarsError, pa.ArrowException) as error:
            self._let_go(error)
            told, usage = _one_line(error), isinstance(error, UsageError)
        return {"shard": [shard], "error": [told], "usage": [usage], "tries": [tries]}

    def _score(self, shard: int, tries: int, pool: Pool, kept: KeptPool | None, spec: ScorerSpec) -> None:
        if tries > self._most:
            raise RunError(
                f"{self._most} workers died over shard {shard} of {spec.name}; "
                "where memory ran out, give them more, and run the same command again"
            )
        with _seen(pool, shard) if kept is None else kept.borrowed(shard) as here:
            if self._scoring is None:
                self._scoring = Scoring(spec)
            self._scoring.score_shard(here, shard)
            self._scoring.drain()

    def _let_go(self, error: Exception) -> None:
        """What is left of a shard that failed must not come into the next one."""
        if self._scoring is not None:
            self._scoring.__exit__(type(error), error, None)
            self._scoring = None


class Tries:
    """Counts how often each shard was begun, beside the workers: those that die cannot."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}

    def begin(self, shard: int) -> int:
        self._begun[shard] = self._begun.get(shard, 0) + 1
        return self._begun[shard]


def _begun(tries: object, shard: int) -> int:
    import ray
    from ray.exceptions import RayError

    try:
        return int(ray.get(tries.begin.remote(shard)))  # type: ignore[attr-defined]
    except RayError:  # the machine that counts is gone, or going
        return 1


def versions() -> dict[str, str]:
    """Of the packages that scores depend on; a model's own libraries are not among them."""
    return {name: version(name) for name in _SAME}


def _refuse_other_versions(wanted: Mapping[str, str]) -> None:
    """Other versions may score otherwise, under the same name."""
    if differ := [name for name, here in versions().items() if here != wanted[name]]:
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
