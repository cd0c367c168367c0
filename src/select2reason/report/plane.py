"""The joint plane, difficulty against length (METHOD 4): where the pool lies, which part of it was chosen, and where
the cut runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from markupsafe import Markup
from numpy.typing import NDArray

from select2reason.report import plain
from select2reason.report.canvas import INK, POOL, SELECTION, Sheet, length_ticks
from select2reason.report.distributions import log_edges, unit_edges

_CELLS = (32, 20)  # along the length and along the difficulty
_SHADES = (0.16, 0.27, 0.39, 0.52, 0.66, 0.82)  # opacity of the cells, fewest to most examples
_WHOLE_CELL = 0.94  # side of a cell that is drawn whole: a seam shows what is one cell
_CUT_POINTS = 400


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Counts on difficulty x length, aggregated in cells; `missing` examples lack one of the two.

    `cut` holds lengths and difficulties at which the joint rank is that of the last chosen example (2, points); null
    where the choice was not by joint rank."""

    lengths: NDArray[np.float64]  # edges, logarithmic
    difficulties: NDArray[np.float64]  # edges
    pool: NDArray[np.int64]  # (lengths, difficulties)
    selection: NDArray[np.int64] | None
    missing: int
    cut: NDArray[np.float64] | None


def plane(pool: pl.DataFrame, selection: pl.DataFrame | None, weight: float | None) -> Plane | None:
    """Null where no example has both values. `weight` is the joint rank's, null where another strategy chose."""
    both = _both(pool)
    if not both.height:
        return None
    x, y = both["trace_tokens"].to_numpy().astype(np.float64), both["difficulty"].to_numpy()
    edges = (log_edges(x, _CELLS[0]), unit_edges(y, _CELLS[1]))
    chosen = None if selection is None else _cells(_both(selection), edges)
    cut = None if selection is None or weight is None else _cut(pool, selection, weight, edges[1])
    return Plane(*edges, pool=_cells(both, edges), selection=chosen, missing=pool.height - both.height, cut=cut)


def _both(examples: pl.DataFrame) -> pl.DataFrame:
    return examples.select("trace_tokens", "difficulty").filter(pl.col("trace_tokens") > 0).drop_nulls()


def _cells(both: pl.DataFrame, edges: tuple[NDArray[np.float64], ...]) -> NDArray[np.int64]:
    columns = (both["trace_tokens"].to_numpy().astype(np.float64), both["difficulty"].to_numpy())
    cells: NDArray[np.int64] = np.histogram2d(*columns, bins=edges)[0].astype(np.int64)
    return cells


# --- the cut --------------------------------------------------------------------------------------------------------


def _cut(
    pool: pl.DataFrame, selection: pl.DataFrame, weight: float, difficulties: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """weight * rank_difficulty + (1 - weight) * rank_length = the last chosen joint rank, ranks read off the pool."""
    last = selection["rank_joint"].max()
    hardness, by_hardness = _ranks(pool, "difficulty", "rank_difficulty")
    lengths, by_length = _ranks(pool, "trace_tokens", "rank_length")
    if not isinstance(last, float) or not hardness.size or not lengths.size:
        return None
    low, high = difficulties[0], difficulties[-1]
    if weight == 1:
        level = np.interp(-last, -by_hardness, hardness)
        return np.array([[lengths[0], lengths[-1]], [level, level]])
    y = np.linspace(low, high, _CUT_POINTS)
    ranks = (last - weight * np.interp(y, hardness, by_hardness)) / (1 - weight)
    x = np.interp(-ranks, -by_length, lengths)
    return np.array([x, y])[:, ranks >= by_length[-1]]  # beyond: at that difficulty no length is enough


def _ranks(pool: pl.DataFrame, value: str, rank: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values that eligible examples have, ascending, and the rank of each, descending."""
    if rank not in pool.columns:
        return np.empty(0), np.empty(0)
    known = pool.select(pl.col(value, rank).cast(pl.Float64)).drop_nulls().unique().sort(value)
    known = known.filter(pl.col(value) > 0) if value == "trace_tokens" else known
    return known[value].to_numpy(), known[rank].to_numpy()


# --- drawn ----------------------------------------------------------------------------------------------------------


def plane_chart(plane: Plane) -> Markup:
    """Cells of difficulty x length: shade = examples of the pool; area of the square = share selected; the cut."""
    x, y = plane.lengths, plane.difficulties
    sheet = Sheet(
        "trace tokens (logarithmic)",
        "difficulty (higher = harder)",
        x=(float(x[0]), float(x[-1])),
        y=(float(y[0]), float(y[-1])),
        x_is_log=True,
        x_ticks=length_ticks(x),
        grid=False,
    )
    chosen = np.zeros_like(plane.pool) if plane.selection is None else plane.selection
    for shade, cells in zip(_SHADES, _shades(plane.pool), strict=True):
        sheet.boxes(_squares(x, y, np.where(cells, _WHOLE_CELL, 0)), POOL, shade)
    sheet.boxes(_squares(x, y, _WHOLE_CELL * np.sqrt(chosen / np.maximum(plane.pool, 1))), SELECTION, 1.0)
    cut = np.empty((2, 0)) if plane.cut is None else _within(plane.cut, x)
    if cut.size:
        sheet.line(cut[0], cut[1], INK, 1.4, dashed=True)
    alt = f"Difficulty against trace length: {plain.count(plane.pool.sum())} examples of the pool in cells"
    return sheet.svg(alt + f", {plain.count(chosen.sum())} of them selected.")


def _within(cut: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of the cut between the lengths that are drawn: examples without a difficulty may be longer."""
    if len(cut[0]) == 2:  # it runs across, at one difficulty
        return np.array([np.clip(cut[0], lengths[0], lengths[-1]), cut[1]])
    return cut[:, (cut[0] >= lengths[0]) & (cut[0] <= lengths[-1])]


def _shades(counts: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """The cells of each shade; shades are even steps of the logarithm of the count."""
    level = np.ceil(np.log(counts + 1) / (np.log(counts.max() + 1) / len(_SHADES)) - 1e-9)
    return [level == shade for shade in range(1, len(_SHADES) + 1)]


def _squares(
    x: NDArray[np.float64], y: NDArray[np.float64], sides: NDArray[np.float64]
) -> Iterator[tuple[float, float, float, float]]:
    """A box in the middle of each cell whose side (0..1 of its cell's) is not 0: left, low, right, high."""
    for i, j in np.argwhere(sides > 0):
        cut = (1 - sides[i, j]) / 2
        left, right = 10.0 ** np.array(_inner(np.log10(x), i, cut))
        low, high = _inner(y, j, cut)
        yield float(left), low, float(right), high


def _inner(edges: NDArray[np.float64], i: int, cut: float) -> tuple[float, float]:
    width = edges[i + 1] - edges[i]
    return float(edges[i] + cut * width), float(edges[i + 1] - cut * width)
