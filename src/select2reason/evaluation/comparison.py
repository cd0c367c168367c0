"""Two evaluations side by side: the same problems, difference by difference, so that their hardness cancels out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.errors import UsageError
from select2reason.evaluation.metrics import Difference, difference
from select2reason.evaluation.scoring import PROBLEM_COLUMNS
from select2reason.tables import read_own

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBLEMS = "problems.parquet"
ALL = "all problems"
_SAME = ("n", "temperature", "max_tokens")  # what a fair comparison has alike


@dataclass(frozen=True, slots=True)
class Paired:
    """One benchmark, or all of them together (ALL): ours minus theirs, problem by problem.

    `better`, `worse` and `equal` count the problems by pass@1, `not_judged` those that lack one on a side; `only_ours`
    and `only_theirs` were asked on one side alone. `majority` is None where the sides do not draw as many samples, or
    one a problem.
    """

    benchmark: str
    pass_at_1: Difference
    majority: Difference | None
    tokens: Difference
    rethinking_tokens: Difference
    better: int
    worse: int
    equal: int
    not_judged: int
    only_ours: int
    only_theirs: int


@dataclass(frozen=True, slots=True)
class Other:
    """Another evaluation: where it is, and its problems (PROBLEM_COLUMNS)."""

    folder: Path
    problems: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours against the evaluation in `against`; `notes` say what was not alike."""

    against: Path
    benchmarks: tuple[Paired, ...]
    notes: tuple[str, ...]


def read_other(folder: Path, ours: Path) -> Other:
    """Another evaluation. Raises UsageError where the folder holds none, or is our own."""
    file = folder / PROBLEMS
    if folder.resolve() == ours.resolve():
        raise UsageError(f"--against {folder}: that is this evaluation itself; give the folder of another one")
    if not file.is_file():
        raise UsageError(f"--against {folder}: no {PROBLEMS} there; give a folder that `select2reason evaluate` wrote")
    fix = "make it anew with --from-samples"
    frame = read_own(file, fix=fix)
    if missing := set(PROBLEM_COLUMNS) - set(frame.columns):
        raise UsageError(f"--against {folder}: it has no {', '.join(sorted(missing))}; {fix}")
    return Other(folder, frame)


def check_in_common(keys: set[tuple[str, str]], other: Other) -> None:
    """Before anything is drawn: raise UsageError where no (benchmark, key) of ours is among theirs."""
    if not keys & set(other.problems.select("benchmark", "key").iter_rows()):
        raise UsageError(f"--against {other.folder}: it has no problem in common with this evaluation")


def compare(ours: pl.DataFrame, other: Other) -> Comparison:
    """Compare problem by problem; a problem is the same where its benchmark's name, question and gold answer are. One
    that stands several times is compared as often: the first with the first."""
    a, b = (
        frame.with_columns(copy=pl.int_range(pl.len()).over("benchmark", "key")) for frame in (ours, other.problems)
    )
    names = [name for name in a["benchmark"].unique(maintain_order=True) if name in set(b["benchmark"])]
    found = [_paired(name, *(frame.filter(pl.col("benchmark") == name) for frame in (a, b))) for name in names]
    if len(found) > 1:
        found.append(_paired(ALL, *(frame.filter(pl.col("benchmark").is_in(names)) for frame in (a, b))))
    return Comparison(other.folder, tuple(found), tuple(_notes(a, b, names)))


def _paired(name: str, ours: pl.DataFrame, theirs: pl.DataFrame) -> Paired:
    on = ["benchmark", "key", "copy"]
    joined = ours.join(theirs, on=on, how="inner", suffix="_theirs", maintain_order="left")
    a, b = _column(joined, "pass_at_1")
    whole = joined.filter(pl.col("samples") == pl.col("n"), pl.col("samples_theirs") == pl.col("n_theirs"))
    voted = bool(joined.select(((pl.col("n") == pl.col("n_theirs")) & (pl.col("n") > 1)).all()).item())
    first = difference(a, b)
    return Paired(
        benchmark=name,
        pass_at_1=first,
        majority=difference(*_column(whole, "majority_correct")) if voted else None,
        tokens=difference(*_column(joined, "mean_tokens")),
        rethinking_tokens=difference(*_column(joined, "mean_rethinking_tokens")),
        better=int((a > b).sum()),
        worse=int((a < b).sum()),
        equal=int((a == b).sum()),
        not_judged=joined.height - first.problems,
        only_ours=ours.height - joined.height,
        only_theirs=theirs.height - joined.height,
    )


def _notes(ours: pl.DataFrame, theirs: pl.DataFrame, names: list[str]) -> Iterator[str]:
    for mine, side, whose in ((ours, theirs, "ours"), (theirs, ours, "theirs")):
        if alone := sorted(set(mine["benchmark"]) - set(side["benchmark"])):
            yield f"asked in {whose} alone: {', '.join(alone)}"
    for name in names:
        a, b = (frame.filter(pl.col("benchmark") == name).row(0, named=True) for frame in (ours, theirs))
        if differ := [f"{what} {a[what]:g} against {b[what]:g}" for what in _SAME if a[what] != b[what]]:
            yield f"{name} was not drawn alike: {', '.join(differ)}"


def _column(joined: pl.DataFrame, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    columns = (joined[one].cast(pl.Float64).fill_null(np.nan).to_numpy() for one in (name, f"{name}_theirs"))
    ours, theirs = columns
    return ours, theirs
