"""A selection's folder opened to be looked at: its score table in memory, ranked once, its pool's texts on disk.

Any weight and size is tried on the ranks (METHOD 4, 9.1, 9.5), with the recorded cap and the rules' own verdicts: what
is shown for a weight is what `select` would take with it. Rows that a rule dropped stay dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from select2reason.errors import RunError, UsageError
from select2reason.pool import Pool
from select2reason.ranking import BEST_WEIGHT
from select2reason.reasons import ELIGIBLE, OUTCOMES, REASONS, SELECTED
from select2reason.selection import Candidates, Ranked, rank

Mask = NDArray[np.bool_]
Places = NDArray[np.int32]

_COLUMNS = (
    *("difficulty", "trace_tokens", "trace_tokens_raw", "total_tokens", "rethinking_tokens", "question_group"),
    *("loop_share", "benchmark", "rank_joint", "selected", "reason"),
)
FLAGS = REASONS[: REASONS.index("same_question")]
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
    """One choice over the whole pool. `order` holds every row, the smallest joint rank first, then those that a rule
    dropped; `place` is each row's place in it, from 0; `reason` codes into OUTCOMES."""

    selected: Mask
    reason: NDArray[np.int8]
    order: Places
    place: Places


class Explored:
    """A scored pool, as it was selected from. All arrays have one entry a row of the pool, in its order."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], pool: Pool) -> None:
        self.folder = folder
        self.manifest = manifest
        self.pool = pool
        self._tried = lru_cache(_CHOICES_KEPT)(self._choose)
        self._ordered = lru_cache(_CHOICES_KEPT)(self._order)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The recorded choice's."""
        parameters: Mapping[str, Any] = self.manifest["parameters"]
        return parameters

    @cached_property
    def table(self) -> pl.DataFrame:
        """The columns of the score table that the page needs, and the flags."""
        file = self.folder / "scores.parquet"
        held = pl.read_parquet_schema(file)
        table = pl.read_parquet(file, columns=[name for name in (*_COLUMNS, *FLAGS) if name in held]).rechunk()
        if table.height != self.pool.rows:
            raise RunError(f"{file} has {table.height:,} rows, the pool {self.pool.rows:,}; run the same select again")
        return table

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
                question_group=table["question_group"].to_numpy(),
                category=np.full(table.height, -1, np.int32),
                dropped=np.where(self.eligible, ELIGIBLE, self._reasons).astype(np.int8),
            )
        )

    @property
    def weight(self) -> float:
        """The recorded one."""
        return float(self.parameters.get("weight", BEST_WEIGHT))

    def choice(self, asked: Asked) -> Choice:
        """Try a choice. Raises UsageError for a weight or size that cannot be."""
        return self._tried(asked)

    def _choose(self, asked: Asked) -> Choice:
        weight = self.weight if asked.weight is None else asked.weight
        order, place = self._ordered(weight)
        if asked.recorded:
            return Choice(self.recorded, self._reasons, order, place)
        rows = asked.rows
        if rows is None and asked.fraction is None:
            rows = int(self.recorded.sum())
        cap = self.parameters.get("per_question") or 0
        found = self.ranked.select(weight=weight, per_question=cap, fraction=asked.fraction, rows=rows)
        return Choice(found.reason == SELECTED, found.reason, order, place)

    def _order(self, weight: float) -> tuple[Places, Places]:
        ranked = self.ranked
        dropped = np.flatnonzero(ranked.dropped != ELIGIBLE)
        order = np.concatenate([ranked.rows[ranked.joint_order(weight)], dropped]).astype(np.int32)
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        return order, place


def manifest_of(folder: Path) -> dict[str, Any]:
    """What is said of a selection. Raises UsageError where the folder is none."""
    try:
        manifest: dict[str, Any] = orjson.loads((folder / "manifest.json").read_bytes())
        chosen = manifest["pool"]["digest"] and "reason" in pl.read_parquet_schema(folder / "scores.parquet")
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"{folder} is no selection; give a folder that `select2reason select` wrote") from error
    if not chosen:
        raise UsageError(f"{folder} holds no choice to look at; make one: select2reason select POOL --out DIR")
    return manifest


def explore(folder: Path, cache_dir: Path | None = None) -> Explored:
    """Open a folder that `select` wrote, and its pool in the cache.

    Raises UsageError where it is none, or where the pool is no longer there, with the command that brings it back.
    """
    manifest = manifest_of(folder)
    root = cache.cache_root(cache_dir) / "pools" / str(manifest["pool"]["digest"])
    if not (root / "pool.json").is_file():
        command = str(manifest.get("command") or "the same select")
        again = command if "--force" in command.split() else f"{command} --force"
        raise UsageError(
            f"the pool of {folder} is not in the cache {root.parent}; name its cache with --cache-dir, "
            f"or bring it back: {again}"
        )
    return Explored(folder, manifest, Pool.open(root, [str(source["path"]) for source in manifest["pool"]["sources"]]))
