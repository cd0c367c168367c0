"""How length (METHOD 3) and difficulty (METHOD 2) are spread over pool and selection, aggregated.

Examples without a value are counted as missing, never drawn at a made-up place.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

_BINS = 40
_PLANE = (28, 20)  # cells along the length and along the difficulty


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of one value in the pool and in the selection, over the same edges."""

    edges: NDArray[np.float64]  # (bins + 1,)
    pool: NDArray[np.int64]  # (bins,)
    selection: NDArray[np.int64] | None  # null on a page about a pool alone
    pool_median: float | None
    selection_median: float | None
    pool_missing: int  # not drawn: no value, or no trace
    selection_missing: int


def length_histogram(pool: pl.DataFrame, selection: pl.DataFrame | None) -> Histogram | None:
    """Trace tokens on logarithmic edges; null where no trace has a length."""
    return _histogram(_lengths(pool), None if selection is None else _lengths(selection), log=True)


def difficulty_histogram(pool: pl.DataFrame, selection: pl.DataFrame | None) -> Histogram | None:
    """Difficulty on [0, 1], or on the values' own range where they leave it; null where nothing has one."""
    chosen = None if selection is None else selection["difficulty"]
    return _histogram(pool["difficulty"], chosen, log=False)


def _lengths(examples: pl.DataFrame) -> pl.Series:
    return examples.select(pl.when(pl.col("trace_tokens") > 0).then("trace_tokens")).to_series()


def _histogram(pool: pl.Series, selection: pl.Series | None, *, log: bool) -> Histogram | None:
    values = _values(pool)
    if not values.size:
        return None
    edges = _log_edges(values, _BINS) if log else _unit_edges(values, _BINS // 2)
    chosen = None if selection is None else _values(selection)
    return Histogram(
        edges=edges,
        pool=np.histogram(values, edges)[0],
        selection=None if chosen is None else np.histogram(chosen, edges)[0],
        pool_median=float(np.median(values)),
        selection_median=float(np.median(chosen)) if chosen is not None and chosen.size else None,
        pool_missing=pool.null_count(),
        selection_missing=0 if selection is None else selection.null_count(),
    )


def _values(column: pl.Series) -> NDArray[np.float64]:
    return column.drop_nulls().cast(pl.Float64).to_numpy()


def _log_edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    if high < 2 * low:  # (nearly) constant: room on both sides
        low, high = low / 2, high * 2
    edges = np.geomspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high  # geomspace may miss the ends by a rounding, and lose the extreme rows
    return edges


def _unit_edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    return np.linspace(low, high, bins + 1)


@dataclass(frozen=True, slots=True)
class Plane:
    """Counts on difficulty x length, aggregated in cells; `missing` examples lack one of the two."""

    lengths: NDArray[np.float64]  # edges, logarithmic
    difficulties: NDArray[np.float64]  # edges
    pool: NDArray[np.int64]  # (lengths, difficulties)
    selection: NDArray[np.int64] | None
    missing: int


def plane(pool: pl.DataFrame, selection: pl.DataFrame | None) -> Plane | None:
    """Null where no example has both values."""
    both = _both(pool)
    if not both.height:
        return None
    x, y = both["trace_tokens"].to_numpy().astype(np.float64), both["difficulty"].to_numpy()
    edges = (_log_edges(x, _PLANE[0]), _unit_edges(y, _PLANE[1]))
    chosen = None if selection is None else _cells(_both(selection), edges)
    return Plane(*edges, pool=_cells(both, edges), selection=chosen, missing=pool.height - both.height)


def _both(examples: pl.DataFrame) -> pl.DataFrame:
    return examples.select("trace_tokens", "difficulty").filter(pl.col("trace_tokens") > 0).drop_nulls()


def _cells(both: pl.DataFrame, edges: tuple[NDArray[np.float64], ...]) -> NDArray[np.int64]:
    columns = (both["trace_tokens"].to_numpy().astype(np.float64), both["difficulty"].to_numpy())
    cells: NDArray[np.int64] = np.histogram2d(*columns, bins=edges)[0].astype(np.int64)
    return cells
