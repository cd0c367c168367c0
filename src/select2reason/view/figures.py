"""What the page draws: lengths and difficulties of pool and choice, and the plane of the two, aggregated.

Each row's bin is found once; a choice is then counted in some milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.cost import gpu_hours
from select2reason.report.distributions import log_edges, unit_edges
from select2reason.view.explored import Choice, Explored, Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.int16]

_LENGTHS, _DIFFICULTIES = 36, 20  # bins; the plane's cells are pairs of them
_OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class Axis:
    """`edges` (bins + 1,) and the bin of each row, -1 where it has no value."""

    edges: NDArray[np.float64]
    codes: Codes

    @property
    def bins(self) -> int:
        """How many."""
        return len(self.edges) - 1

    def counts(self, chosen: Mask | None = None) -> list[int]:
        """Rows in each bin."""
        codes = self.codes if chosen is None else self.codes[chosen]
        counted: list[int] = np.bincount(codes[codes >= 0], minlength=self.bins).tolist()
        return counted


class Figures:
    """The figures of one explored pool, and of any choice from it."""

    def __init__(self, explored: Explored) -> None:
        self._explored = explored

    @cached_property
    def lengths(self) -> Axis:
        """Trace tokens, logarithmic."""
        tokens = self._explored.trace_tokens.astype(np.float64)
        return _axis(np.where(tokens > 0, tokens, np.nan), log_edges(tokens[tokens > 0], _LENGTHS))

    @cached_property
    def difficulties(self) -> Axis:
        """On [0, 1], or on the values' own range where they leave it."""
        values = self._explored.difficulty
        return _axis(values, unit_edges(values[np.isfinite(values)], _DIFFICULTIES))

    @cached_property
    def _cells(self) -> Axis:
        x, y = self.lengths, self.difficulties
        codes = np.where((x.codes < 0) | (y.codes < 0), _OUTSIDE, x.codes * y.bins + y.codes).astype(np.int16)
        return Axis(np.arange(x.bins * y.bins + 1, dtype=np.float64), codes)

    def of_pool(self) -> dict[str, object]:
        """Edges and the pool's counts; `plane` is length-major."""
        return {
            "length": {"edges": self.lengths.edges.tolist(), "pool": self.lengths.counts()},
            "difficulty": {"edges": self.difficulties.edges.tolist(), "pool": self.difficulties.counts()},
            "plane": self._cells.counts(),
        }

    def of_choice(self, choice: Choice) -> dict[str, object]:
        """The choice's counts over the same bins, its plain figures, and what comes in and goes out."""
        chosen, recorded = choice.selected, self._explored.recorded
        names = ("total_tokens", "trace_tokens", "difficulty", "rethinking_tokens")
        table = self._explored.table.select(names).filter(pl.Series(chosen))
        parameters = self._explored.parameters
        entered = int((chosen & ~recorded).sum())
        return {
            "length": self.lengths.counts(chosen),
            "difficulty": self.difficulties.counts(chosen),
            "plane": self._cells.counts(chosen),
            "selected": table.height,
            "in": entered,
            "out": int(recorded.sum()) - (table.height - entered),
            "tokens": int(table["total_tokens"].cast(pl.Int64).sum()),
            "gpu_hours": gpu_hours(table["total_tokens"], cutoff_tokens=int(parameters.get("cutoff_len") or 0)),
            "median_trace": table["trace_tokens"].median(),
            "mean_difficulty": table["difficulty"].mean(),
            "mean_rethinking": table["rethinking_tokens"].mean(),
        }


def _axis(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Axis:
    known = np.isfinite(values)
    codes = np.searchsorted(edges, values, side="right") - 1
    codes = np.minimum(codes, len(edges) - 2)  # the last bin holds its upper edge
    return Axis(edges, np.where(known & (codes >= 0), codes, _OUTSIDE).astype(np.int16))
