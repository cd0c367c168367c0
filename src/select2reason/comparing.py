"""All strategies side by side, at the size of one choice (METHOD 5), and that choice under other weights and sizes.

A pool that was ranked once is chosen from again and again; what each choice takes is told in figures, never in rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from select2reason.cost import gpu_hours
from select2reason.errors import UsageError
from select2reason.ranking import BEST_WEIGHT
from select2reason.reasons import ROW_RULES
from select2reason.selection import STRATEGIES, Ranked, Selection, Strategy, rows_of_fraction

Rows = NDArray[np.uint32]
Column = NDArray[np.number[Any]]

WEIGHTS = (0.0, 0.1, 0.2, BEST_WEIGHT, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0)
FRACTIONS = tuple(map(Decimal, ("0.02", "0.05", "0.10", "0.20")))  # METHOD 4


@dataclass(frozen=True, slots=True)
class Flagged:
    """Examples for which a health rule holds, of those for which it was measured."""

    flagged: int
    measured: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What some examples come to; a mean or median is null where no example has a value."""

    n: int
    tokens: int  # of whole examples
    gpu_hours: float  # `cost.gpu_hours`
    mean_trace: float | None  # trace tokens
    median_trace: float | None
    mean_difficulty: float | None
    no_difficulty: int
    mean_rethinking: float | None  # rethinking tokens per trace
    categories: int  # that occur; examples without one are none
    health: Mapping[str, Flagged]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Examples that two choices have in common, and these over all that either takes (null where both are empty)."""

    n: int
    jaccard: float | None


@dataclass(frozen=True, slots=True)
class Choice:
    """What one strategy takes; `overlap` has an entry for every strategy, itself too."""

    strategy: Strategy
    figures: Figures
    overlap: Mapping[Strategy, Overlap]


@dataclass(frozen=True, slots=True)
class Size:
    """One size of the sweep. `fraction` is of the eligible rows, null where rows or tokens were asked for; `asked` says
    that it is the size that was asked for."""

    fraction: str | None
    rows: int
    asked: bool


@dataclass(frozen=True, slots=True)
class Point:
    """What the joint ranker takes at one weight and size, and how much of it the choice asked for takes too."""

    weight: float
    rows: int  # asked for: `Size.rows`
    n: int
    tokens: int
    mean_trace: float | None
    mean_difficulty: float | None
    common: int
    common_share: float | None  # of the smaller of the two choices; null where one is empty


@dataclass(frozen=True, slots=True)
class Sweep:
    """The joint ranker over weights and sizes, both ascending; `points` has a point for each pair, by weight."""

    weights: tuple[float, ...]
    sizes: tuple[Size, ...]
    points: tuple[Point, ...]

    def at(self, rows: int) -> Sequence[Point]:
        """The points of one size, by weight."""
        return [point for point in self.points if point.rows == rows]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`asked` and `weight` are those of the choice that all is compared with; `eligible` is what all chose from."""

    asked: Strategy
    weight: float
    eligible: Figures
    choices: tuple[Choice, ...]  # in the order of STRATEGIES
    sweep: Sweep

    def choice(self, strategy: str) -> Choice:
        """That of one strategy. Raises UsageError where there is none of this name."""
        found = {choice.strategy: choice for choice in self.choices}
        if strategy not in found:
            raise UsageError(f"there is no strategy {strategy!r}; it can be {', '.join(found)}")
        return found[strategy]


def compare_choices(ranked: Ranked, selection: Selection, table: pl.DataFrame, *, cutoff_tokens: int) -> Comparison:
    """Compare a choice with what others would take: the same rules, cap, seed and size, whatever the size is given in.

    `table` holds the row rules as Booleans, one row for every row of the pool; a rule it lacks was not measured.
    """
    options = dict(selection.params)
    rows = {
        strategy: selection.rows if strategy == selection.strategy else _choose(ranked, strategy, options)
        for strategy in STRATEGIES
    }
    columns = _Columns.of(ranked, table)
    overlaps = _overlaps(list(rows.values()), len(ranked.dropped))
    choices = [
        Choice(strategy, columns.figures(taken, cutoff_tokens), dict(zip(STRATEGIES, overlaps[place], strict=True)))
        for place, (strategy, taken) in enumerate(rows.items())
    ]
    return Comparison(
        asked=selection.strategy,
        weight=_weight(selection),
        eligible=columns.figures(ranked.rows.astype(np.uint32), cutoff_tokens),
        choices=tuple(choices),
        sweep=_sweep(ranked, selection, columns),
    )


def _choose(ranked: Ranked, strategy: Strategy, options: Mapping[str, Any]) -> Rows:
    return ranked.select(strategy=strategy, **options).rows


def _weight(selection: Selection) -> float:
    return float(str(selection.params["weight"]))


# --- figures --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """What figures are made of, by position in the pool; rows that were dropped have no values and are never taken."""

    trace: Column
    total: Column
    rethinking: Column
    difficulty: Column
    category: Column  # from 0; 0 = none
    health: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]  # flagged, measured

    @classmethod
    def of(cls, ranked: Ranked, table: pl.DataFrame) -> _Columns:
        pool = ranked.pool
        _, category = np.unique(np.append(-1, np.maximum(pool.category.astype(np.int64), -1)), return_inverse=True)
        flags = {name: table[name].cast(pl.Boolean) for name in ROW_RULES if name in table.columns}
        return cls(
            trace=ranked.spread(pool.trace_tokens.astype(np.int64), 0),
            total=ranked.spread(pool.total_tokens.astype(np.int64), 0),
            rethinking=ranked.spread(pool.rethinking_tokens.astype(np.int64), 0),
            difficulty=ranked.spread(pool.difficulty, 0),
            category=ranked.spread(category[1:], 0),  # the first stood for none, whose code is 0
            health={name: (f.fill_null(False).to_numpy(), f.is_not_null().to_numpy()) for name, f in flags.items()},
        )

    def figures(self, rows: Rows, cutoff_tokens: int) -> Figures:
        trace, difficulty, total = self.trace[rows], self.difficulty[rows], self.total[rows]
        known = difficulty[~np.isnan(difficulty)]
        return Figures(
            n=len(rows),
            tokens=int(total.sum()),
            gpu_hours=round(gpu_hours(pl.Series(total), cutoff_tokens=cutoff_tokens), 3),
            mean_trace=_mean(trace),
            median_trace=float(np.median(trace)) if trace.size else None,
            mean_difficulty=_mean(known),
            no_difficulty=len(difficulty) - len(known),
            mean_rethinking=_mean(self.rethinking[rows]),
            categories=int((np.bincount(self.category[rows].astype(np.int64))[1:] > 0).sum()),
            health={
                name: Flagged(int(flagged[rows].sum()), int(measured[rows].sum()))
                for name, (flagged, measured) in self.health.items()
            },
        )


def _mean(values: Column) -> float | None:
    return float(values.mean()) if values.size else None


def _overlaps(chosen: Sequence[Rows], pool_rows: int) -> list[list[Overlap]]:
    """Of each choice with each: every row of the pool has a bit for each choice, and equal bits are counted once."""
    bits = np.zeros(pool_rows, np.int64)
    for place, rows in enumerate(chosen):
        bits[rows] |= 1 << place
    counts = np.bincount(bits, minlength=1 << len(chosen))
    takes = (np.arange(counts.size)[:, None] >> np.arange(len(chosen))) & 1
    common = (takes * counts[:, None]).T @ takes
    return [[_overlap(common, a, b) for b in range(len(chosen))] for a in range(len(chosen))]


def _overlap(common: NDArray[np.int64], a: int, b: int) -> Overlap:
    both = int(common[a, b])
    either = int(common[a, a] + common[b, b]) - both
    return Overlap(both, both / either if either else None)


# --- the sweep ------------------------------------------------------------------------------------------------------


def _sweep(ranked: Ranked, selection: Selection, columns: _Columns) -> Sweep:
    """One choice a weight, of the largest size: the rows are best first, so a smaller size is its beginning."""
    weights = tuple(sorted({*WEIGHTS, _weight(selection)}))
    sizes = _sizes(ranked, selection)
    mine = np.zeros(len(ranked.dropped), np.bool_)
    mine[selection.rows] = True
    shared = {name: selection.params[name] for name in ("seed", "per_question")}
    most = max(size.rows for size in sizes)
    points: list[Point] = []
    for weight in weights:
        rows = _choose(ranked, "joint", {**shared, "rows": most, "weight": weight})
        points += _points(rows, weight, sizes, columns, mine)
    return Sweep(weights, sizes, tuple(points))


def _sizes(ranked: Ranked, selection: Selection) -> tuple[Size, ...]:
    """Ascending, each number of rows once. A token budget asks for as many rows as it holds."""
    eligible = len(ranked.rows)
    asked = max(1, len(selection.rows) if selection.asked is None else selection.asked)
    given = selection.params["fraction"]
    named = {rows_of_fraction(fraction, eligible): str(fraction) for fraction in reversed(FRACTIONS)}
    if given is not None:
        named[asked] = str(given)
    return tuple(Size(named.get(rows), rows, rows == asked) for rows in sorted({*named, asked}))


def _points(
    rows: Rows, weight: float, sizes: Sequence[Size], columns: _Columns, mine: NDArray[np.bool_]
) -> Iterator[Point]:
    difficulty = columns.difficulty[rows]
    known = ~np.isnan(difficulty)
    parts = (columns.total[rows], columns.trace[rows], np.where(known, difficulty, 0), known, mine[rows])
    sums = [np.cumsum(part) for part in parts]
    asked = int(mine.sum())
    for size in sizes:
        n = min(size.rows, len(rows))
        tokens, trace, hardness, scored, common = (some[n - 1].item() if n else 0 for some in sums)
        yield Point(
            weight=weight,
            rows=size.rows,
            n=n,
            tokens=tokens,
            mean_trace=trace / n if n else None,
            mean_difficulty=hardness / scored if scored else None,
            common=common,
            common_share=common / min(n, asked) if n and asked else None,
        )
