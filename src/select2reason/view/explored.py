"""A selection's folder opened to be looked at: its score table in memory, ranked once, its pool's texts on disk.

Any weight and size is tried on the ranks (METHOD 4, 9.1, 9.5), with the recorded cap and the rules' own verdicts: what
is shown for a weight is what `select` would take with it. Rows that a rule dropped stay dropped.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from select2reason import cache
from select2reason.errors import RunError, UsageError, first_line
from select2reason.files import refuse_other_format
from select2reason.hub import is_hub_id
from select2reason.pool import Pool
from select2reason.reasons import ELIGIBLE, OUTCOMES, REASONS, SELECTED
from select2reason.selection import Candidates, Ranked, rank, rows_of_fraction
from select2reason.signs import visible
from select2reason.table import groups_or_alone

Mask = NDArray[np.bool_]
Places = NDArray[np.int32]

_COLUMNS = (
    *("difficulty", "trace_tokens", "total_tokens", "rethinking_tokens", "question_group"),
    *("loop_share", "benchmark", "other_numbers", "rank_difficulty", "rank_length", "rank_joint", "selected", "reason"),
)
VERDICTS = ("right", "wrong", "none", "unknown")
"""What may be known of an answer; none: there is no final answer."""
FLAGS = REASONS[: REASONS.index("same_question")]
_DIGEST = re.compile("[0-9a-f]{16}")
_FORMAT = 1  # of a selection's manifest (manifest.py)
_CHOICES_KEPT = 4  # some 10 MB each for a million rows


@dataclass(frozen=True, slots=True)
class Asked:
    """A choice to be tried; without a weight and a size it is the one that was recorded."""

    weight: float | None = None
    fraction: Decimal | None = None
    rows: int | None = None

    @property
    def recorded(self) -> bool:
        """Whether nothing else than the recorded choice is asked for."""
        return self == Asked()


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One choice over the whole pool; `reason` codes into OUTCOMES, `weight` is what the rows are ranked with."""

    selected: Mask
    reason: NDArray[np.int8]
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Every row of the pool, the smallest joint rank first, then those that a rule dropped; and each row's place."""

    rows: Places
    place: Places


class Explored:
    """A scored pool, as it was selected from. All arrays have one entry a row of the pool, in its order."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], pool: Pool, table: pl.DataFrame) -> None:
        self.folder = folder
        self.manifest = manifest
        self.pool = pool
        self.table = table
        self._tried = lru_cache(_CHOICES_KEPT)(self._choose)
        self._joint = lru_cache(_CHOICES_KEPT)(lambda weight: self.ranked.joint_order(weight))
        self._ordered = lru_cache(_CHOICES_KEPT)(self._order)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The recorded choice's."""
        parameters: Mapping[str, Any] = self.manifest["parameters"]
        return parameters

    @cached_property
    def recorded(self) -> Mask:
        """What was selected."""
        return self.table["selected"].to_numpy()

    @cached_property
    def eligible(self) -> Mask:
        """The rows that no rule dropped."""
        return self.table["rank_joint"].is_not_null().to_numpy()

    @cached_property
    def difficulty(self) -> NDArray[np.float64]:
        """NaN where there is none."""
        return self.table["difficulty"].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    @cached_property
    def verdicts(self) -> NDArray[np.int8]:
        """Of each row, a place in VERDICTS: what is known of its answer."""
        none, wrong = pl.col("no_answer").fill_null(False), pl.col("wrong_answer")
        code = pl.when(none).then(2).when(wrong.is_null()).then(3).otherwise(wrong.cast(pl.Int8))
        return self.table.select(code.cast(pl.Int8)).to_series().to_numpy()

    @cached_property
    def trace_tokens(self) -> NDArray[np.uint32]:
        """Of the normalised trace."""
        return self.table["trace_tokens"].to_numpy()

    @cached_property
    def categories(self) -> pl.Series:
        """Of each row its category as the pool has it, null where there is none; a categorical column."""
        return self.pool.narrow(["category"])["category"].cast(pl.String).cast(pl.Categorical)

    @cached_property
    def _reasons(self) -> NDArray[np.int8]:
        """The recorded ones, as codes into OUTCOMES."""
        codes = self.table["reason"].replace_strict(list(OUTCOMES), range(len(OUTCOMES)), return_dtype=pl.Int8)
        return codes.to_numpy()

    @cached_property
    def ranked(self) -> Ranked:
        """The rows that no rule dropped, ranked."""
        table = self.table
        return rank(
            Candidates(
                difficulty=self.difficulty,
                trace_tokens=self.trace_tokens,
                total_tokens=table["total_tokens"].to_numpy(),
                rethinking_tokens=table["rethinking_tokens"].to_numpy(),
                question_group=groups_or_alone(table["question_group"]),
                category=np.full(table.height, -1, np.int32),
                dropped=np.where(self.eligible, ELIGIBLE, self._reasons).astype(np.int8),
            )
        )

    @property
    def weight(self) -> float:
        """The recorded one."""
        return float(self.parameters["weight"])

    def choice(self, asked: Asked) -> Choice:
        """Try a choice. Raises UsageError for a weight or size that cannot be."""
        return self._tried(asked)

    def refuse_other_files(self, pools: Sequence[str]) -> None:
        """Raise UsageError where the files that the pool was made from are not those that stand here under their names:
        the recorded command would choose from something else. What came from the Hub is not asked for."""
        if any(is_hub_id(pool) for pool in pools):
            return
        sources = [(Path(str(source["path"])), source["sha256"]) for source in self.manifest["pool"]["sources"]]
        where = "start view in the folder in which the selection was made"
        if missing := [path for path, _ in sources if not path.is_file()]:
            raise UsageError(f"{visible(str(missing[0]))} is not here; {where}")
        digests = cache.content_digests(self.pool.root.parents[1], [path for path, _ in sources])
        for (path, recorded), digest in zip(sources, digests, strict=True):
            if digest != recorded:
                raise UsageError(f"{visible(str(path))} is not the file that was selected from; {where}")

    def order(self, weight: float) -> Order:
        """Every row in the order of its joint rank."""
        return self._ordered(weight)

    def _choose(self, asked: Asked) -> Choice:
        weight = self.weight if asked.weight is None else asked.weight
        if asked.recorded:
            return Choice(self.recorded, self._reasons, weight)
        rows = int(self.recorded.sum()) if asked.rows is None else asked.rows
        if rows < 1:
            raise UsageError(f"rows must be at least 1; got {rows}")
        if asked.fraction is not None:
            rows = rows_of_fraction(asked.fraction, int(self.eligible.sum()))
        reason = self.ranked.take(self._joint(weight), rows, int(self.parameters.get("per_question") or 0))
        return Choice(reason == SELECTED, reason, weight)

    def _order(self, weight: float) -> Order:
        dropped = np.flatnonzero(~self.eligible)
        rows = np.concatenate([self.ranked.rows[self._joint(weight)], dropped]).astype(np.int32)
        place = np.empty(len(rows), np.int32)
        place[rows] = np.arange(len(rows), dtype=np.int32)
        return Order(rows, place)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What is said of a selection. Raises UsageError where the folder is none."""
    try:
        manifest: dict[str, Any] = orjson.loads((folder / "manifest.json").read_bytes())
        if manifest["selected"]:
            refuse_other_format(folder / "manifest.json", manifest, _FORMAT, "run the same select again")
        kind, selected, weight = (
            manifest.get("kind", "selection"),
            manifest["selected"],
            manifest["parameters"]["weight"],
        )
        whole = _DIGEST.fullmatch(manifest["pool"]["digest"]) and all(
            one["path"] for one in manifest["pool"]["sources"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{folder} is no selection; give a folder that `select2reason select` wrote") from error
    if kind != "selection" or not isinstance(selected, int) or not isinstance(weight, int | float) or not whole:
        raise UsageError(f"{folder} is no selection; make one to look at: select2reason select POOL --out DIR")
    return manifest


def explore(folder: Path, cache_dir: Path | None = None) -> Explored:
    """Open a folder that `select` wrote, and its pool in the cache.

    Raises UsageError where it is none, or where the pool is no longer there, with the command that brings it back;
    RunError where its score table is damaged, or another pool's.
    """
    manifest = read_manifest(folder)
    root = cache.cache_root(cache_dir) / "pools" / manifest["pool"]["digest"]
    if not (root / "pool.json").is_file():
        raise UsageError(
            f"the pool of {folder} is not in the cache {root.parent}; name its cache with --cache-dir, "
            f"or bring it back: {_again(manifest)}"
        )
    pool = Pool.open(root, [str(source["path"]) for source in manifest["pool"]["sources"]])
    return Explored(folder, manifest, pool, _table(folder, pool))


def _table(folder: Path, pool: Pool) -> pl.DataFrame:
    """The columns of the score table that the page needs."""
    file = folder / "scores.parquet"
    try:
        table = pl.read_parquet(file, columns=[*_COLUMNS, *FLAGS], glob=False).rechunk()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(f"{file} is damaged ({first_line(error)}); run the same select again") from error
    if table.height != pool.rows:
        raise RunError(f"{file} has {table.height:,} rows, the pool {pool.rows:,}; run the same select again")
    if unknown := set(table["reason"].unique()) - set(OUTCOMES):
        raise RunError(f"{file} has reasons that are not known ({unknown.pop()!r}); run the same select again")
    return table


def _again(manifest: Mapping[str, Any]) -> str:
    """The recorded command as it is safely typed, and shown; it is passed on only if it is a `select`, and whether a
    model's own code may run is not."""
    try:
        words = shlex.split(str(manifest.get("command") or ""))
    except ValueError:
        words = []
    again = [word for word in words if word not in ("--force", "--trust-remote-code")]
    known = again[:2] == ["select2reason", "select"]
    return visible(shlex.join([*again, "--force"])) if known else "make it once more as it was made"
