"""What a scorer is, and the shards that it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import polars as pl

from select2reason import cache
from select2reason.errors import RunError
from select2reason.parts import part_file
from select2reason.pool import Pool, sound

Schema = Mapping[str, type[pl.DataType] | pl.DataType]


@dataclass(frozen=True, slots=True)
class RaySettings:
    """Scoring by Ray (by_ray). `address` is that of a cluster (None: that of the job, or a Ray of its own on this
    machine); `storage` a folder or URL that all its machines reach (None: they see the cache folder itself)."""

    address: str | None = None
    storage: str | None = None


class Scorer(Protocol):
    """Turns a batch of text into a few narrow columns."""

    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Same height, same order; null where there is no score, never a made-up one."""
        ...

    def close(self) -> None:
        """Let go of models and the like; called once, after the last batch."""
        ...


def _nothing() -> None:
    """There is nothing to load."""


def _one() -> int:
    return 1


@dataclass(frozen=True, slots=True)
class ScorerSpec:
    """What is known of a scorer before it is made; `make` may load a model, so it runs only where work is left.

    `fingerprint` names everything the scores depend on (scorer, model, revision, prompt, version). `threads` batches
    may be scored at once; more than 1 only where `score` bears being called so. A `light` scorer keeps up with the
    reading of a pool, and runs beside it. `wake` may begin to load what `make` will want, beside the caller. A
    `distinct` scorer is slow and reads questions alone, so it is given each distinct question once (questions.py).
    Batches are put together until they have `batch_rows` rows, within a shard and within 4 MB: for a scorer of short
    texts, whose every call costs. `workers` processes share its shards, each with a GPU of its own; `make` is then sent
    to them. `prompt_tokens` is what a prompt adds to its question, for the plan (None: it reads nothing to be planned).

    On other machines (by_ray) `make` and `gpus` are sent there: functions of a module over plain data, which open there
    what they need. `gpus` says how many GPUs one worker takes where there are any (None: it never takes one); a
    `served` scorer asks a server that computes for it, so that nothing is gained by sending it anywhere.

    The scorer that this one is `part_of` gives its columns too, and more: where that has scored a pool, its scores are
    read, and nothing is scored.
    """

    name: str
    fingerprint: str
    inputs: Sequence[str]
    outputs: Schema
    make: Callable[[], Scorer]
    threads: int = 1
    light: bool = False
    wake: Callable[[], None] = _nothing
    distinct: bool = False
    workers: Callable[[], int] = _one
    prompt_tokens: int | None = None
    batch_rows: int = 1
    gpus: Callable[[], int] | None = None
    served: bool = False
    part_of: ScorerSpec | None = None

    def alone(self) -> ScorerSpec:
        """The same for one worker's process, which loads when it makes its scorer and has no workers of its own."""
        return replace(self, wake=_nothing, workers=_one)

    def folder(self, root: Path) -> Path:
        """Where this scorer's shards of the pool at `root` stand."""
        return root / "scores" / f"{self.name}-{self.fingerprint}"


def missing_shards(pool: Pool, spec: ScorerSpec) -> list[int]:
    """Numbers of the shards that are not scored yet."""
    return _missing_in(pool, _found_in(pool, spec))


def _missing_in(pool: Pool, folder: Path) -> list[int]:
    return [shard for shard in range(len(pool.shards)) if not shard_path(folder, shard).exists()]


def _found_in(pool: Pool, spec: ScorerSpec) -> Path:
    """The folder whose shards hold the scores: that of the scorer it is part of where its own is not whole."""
    own, whole = spec.folder(pool.root), spec.part_of and spec.part_of.folder(pool.root)
    return whole if whole and _missing_in(pool, own) and not _missing_in(pool, whole) else own


def shard_path(folder: Path, shard: int) -> Path:
    """The file of one score shard."""
    return folder / f"{shard:05}.parquet"


def write_shard(frame: pl.DataFrame, path: Path) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with part_file(path) as part:
        frame.write_parquet(part)
        part.replace(path)


def read_scores(pool: Pool, spec: ScorerSpec) -> pl.DataFrame:
    """The scores of the whole pool, row for row. Raises RunError where shards are missing or do not fit."""
    folder = _found_in(pool, spec)
    if missing := missing_shards(pool, spec):
        raise RunError(f"{len(missing)} of {len(pool.shards)} shards of {spec.name} are missing; run the command again")
    with sound(folder):
        columns = list(spec.outputs)
        paths = [shard_path(folder, shard) for shard in range(len(pool.shards))]
        frames = [pl.read_parquet(path, columns=columns, glob=False) for path in paths]
    typed = all(frame.schema == pl.Schema(spec.outputs) for frame in frames)
    if [frame.height for frame in frames] != list(pool.shards) or not typed:
        raise RunError(f"{folder} does not fit the pool; clear it with: {cache.clearing(folder)}")
    return pl.concat(frames)
