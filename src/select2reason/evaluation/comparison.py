"""Two evaluations side by side: the same problems, difference by difference, so that their hardness cancels out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.errors import UsageError
from select2reason.evaluation.metrics import Difference, difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBLEMS = "problems.parquet"
ALL = "all"


@dataclass(frozen=True, slots=True)
class Paired:
    """One benchmark, or all of them (`benchmark` = ALL): ours minus theirs. `better`, `worse` and `equal` count the
    problems by pass@1; `only_ours` and `only_theirs` were asked on one side alone."""

    benchmark: str
    pass_at_1: Difference
    majority: Difference
    tokens: Difference
    rethinking_tokens: Difference
    better: int
    worse: int
    equal: int
    only_ours: int
    only_theirs: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours against the evaluation in `against`."""

    against: Path
    benchmarks: tuple[Paired, ...]


def read_other(folder: Path) -> pl.DataFrame:
    """The problems of another evaluation. Raises UsageError where the folder holds none."""
    file = folder / PROBLEMS
    if not file.is_file():
        raise UsageError(f"--against {folder}: no {PROBLEMS} there; give a folder that `select2reason evaluate` wrote")
    return pl.read_parquet(file)


def compare(ours: pl.DataFrame, theirs: pl.DataFrame, against: Path) -> Comparison:
    """Compare problem by problem; a problem is the same where benchmark, question and gold answer are.

    Raises UsageError where the two have no problem in common.
    """
    rows = [frame.unique(["benchmark", "key"], keep="first", maintain_order=True) for frame in (ours, theirs)]
    names = [name for name in rows[0]["benchmark"].unique(maintain_order=True) if name in set(rows[1]["benchmark"])]
    found = [_paired(name, *(frame.filter(pl.col("benchmark") == name) for frame in rows)) for name in names]
    if not any(one.pass_at_1.problems for one in found):
        raise UsageError(f"--against {against}: it has no problem in common with this evaluation")
    if len(found) > 1:
        found.append(_paired(ALL, *(frame.filter(pl.col("benchmark").is_in(names)) for frame in rows)))
    return Comparison(against, tuple(found))


def _paired(name: str, ours: pl.DataFrame, theirs: pl.DataFrame) -> Paired:
    joined = ours.join(theirs, on=["benchmark", "key"], how="inner", suffix="_theirs", maintain_order="left")
    a, b = _column(joined, "pass_at_1")
    return Paired(
        benchmark=name,
        pass_at_1=difference(a, b),
        majority=difference(*_column(joined, "majority_correct")),
        tokens=difference(*_column(joined, "mean_tokens")),
        rethinking_tokens=difference(*_column(joined, "mean_rethinking_tokens")),
        better=int((a > b).sum()),
        worse=int((a < b).sum()),
        equal=int((a == b).sum()),
        only_ours=ours.height - joined.height,
        only_theirs=theirs.height - joined.height,
    )


def _column(joined: pl.DataFrame, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    columns = (joined[one].cast(pl.Float64).fill_null(np.nan).to_numpy() for one in (name, f"{name}_theirs"))
    ours, theirs = columns
    return ours, theirs
