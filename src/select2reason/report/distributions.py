"""How length (METHOD 3) and difficulty (METHOD 2) are spread over pool and selection, aggregated.

Examples without a value are counted as missing, never drawn at a made-up place.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

_BINS = 40
_COUNTED = 0.99  # part of each side that an even scale of counts holds; what is above shares the last bin


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
    above: float | None = None  # the last bin holds all from here on; null where it is a bin like others


def length_histogram(pool: pl.DataFrame, selection: pl.DataFrame | None, column: str) -> Histogram | None:
    """A column of tokens on logarithmic edges; null where none is above 0."""
    sides = _lengths(pool, column), None if selection is None else _lengths(selection, column)
    return _histogram(*sides, log_edges(_values(sides[0]), _BINS))


def difficulty_histogram(pool: pl.DataFrame, selection: pl.DataFrame | None) -> Histogram | None:
    """Difficulty on [0, 1], or on the values' own range where they leave it; null where nothing has one."""
    sides = pool["difficulty"], None if selection is None else selection["difficulty"]
    return _histogram(*sides, unit_edges(_values(sides[0]), _BINS // 2))


def count_histogram(pool: pl.DataFrame, selection: pl.DataFrame | None, column: str) -> Histogram | None:
    """A column of whole numbers from 0 on even edges, one or more numbers a bin; null where nothing was counted."""
    sides = pool[column], None if selection is None else selection[column]
    counts = _values(sides[0])
    if not counts.size:
        return None
    parts = [values for side in sides if side is not None and (values := _values(side)).size]
    top = max(float(np.quantile(values, _COUNTED)) for values in parts)
    edges = np.arange(_BINS + 1) * max(1.0, np.ceil((top + 1) / _BINS)) - 0.5
    edges = edges[: np.searchsorted(edges, top) + 1]
    above = float(edges[-2] + 0.5) if counts.max() > edges[-1] else None
    return _histogram(*sides, edges, above)


def _lengths(examples: pl.DataFrame, column: str) -> pl.Series:
    return examples.select(pl.when(pl.col(column) > 0).then(column)).to_series()


def _histogram(
    pool: pl.Series, selection: pl.Series | None, edges: NDArray[np.float64], above: float | None = None
) -> Histogram | None:
    values = _values(pool)
    if not values.size:
        return None
    chosen = None if selection is None else _values(selection)
    return Histogram(
        edges=edges,
        pool=_counted(values, edges),
        selection=None if chosen is None else _counted(chosen, edges),
        pool_median=float(np.median(values)),
        selection_median=float(np.median(chosen)) if chosen is not None and chosen.size else None,
        pool_missing=pool.null_count(),
        selection_missing=0 if selection is None else selection.null_count(),
        above=above,
    )


def _counted(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.histogram(np.minimum(values, edges[-1]), edges)[0]
    return counts


def _values(column: pl.Series) -> NDArray[np.float64]:
    return column.drop_nulls().cast(pl.Float64).to_numpy()


def log_edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """From the least to the greatest, which are above 0; of no value from 1 to 2."""
    if not values.size:
        return np.geomspace(1, 2, bins + 1)
    low, high = float(values.min()), float(values.max())
    if high < 2 * low:  # (nearly) constant: room on both sides
        low, high = low / 2, high * 2
    edges = np.geomspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high  # geomspace may miss the ends by a rounding, and lose the extreme rows
    return edges


def unit_edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """From 0 to 1, or as far as values leave it."""
    low, high = float(values.min(initial=0.0)), float(values.max(initial=1.0))
    return np.linspace(low, high, bins + 1)
