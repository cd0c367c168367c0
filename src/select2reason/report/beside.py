"""What other strategies, weights and sizes would have taken, laid out for the page (`comparing`, METHOD 4, 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from select2reason.comparing import Choice, Comparison, Figures, Flagged, Size
from select2reason.report import charts


@dataclass(frozen=True, slots=True)
class Line:
    """One strategy beside the choice asked for; the shares are null for that choice itself, or where one is empty."""

    name: str
    asked: bool
    figures: Figures
    common: int
    common_share: float | None  # of what this strategy takes
    jaccard: float | None


@dataclass(frozen=True, slots=True)
class Grid:
    """Shares with a name for every row and column; null is a share of nothing. `marked` are the names to stress."""

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float | None]]]
    marked: frozenset[str]


@dataclass(frozen=True, slots=True)
class Beside:
    """All that the page says of other choices."""

    lines: Sequence[Line]  # the choice asked for first
    eligible: Figures
    overlap: Grid  # of each row's examples, the share that the column takes too
    flags: Sequence[tuple[str, Sequence[Flagged]]]  # rules that hold for an example of any choice, in order of `lines`
    swept: Grid  # weights by sizes: the share in common with the choice asked for
    sizes: Sequence[tuple[Size, str, Sequence[object]]]  # each with its name and its points
    sweep_charts: Sequence[tuple[str, Markup]]
    at: str  # the point asked for: weight and size
    weight: float
    n: int  # examples of the choice asked for


def beside(comparison: Comparison) -> Beside:
    """Lay a comparison out."""
    mine = comparison.choice(comparison.asked)
    ordered = [mine, *(choice for choice in comparison.choices if choice is not mine)]
    sweep = comparison.sweep
    names = [charts.size_name(size) for size in sweep.sizes]
    asked = next(name for size, name in zip(sweep.sizes, names, strict=True) if size.asked)
    return Beside(
        lines=[_line(choice, comparison.asked) for choice in ordered],
        eligible=comparison.eligible,
        overlap=_overlap(comparison),
        flags=_flags(ordered),
        swept=_swept(comparison, names, asked),
        sizes=[(size, name, sweep.at(size.rows)) for size, name in zip(sweep.sizes, names, strict=True)],
        sweep_charts=_charts(comparison),
        at=f"weight {comparison.weight:g}, {asked}",
        weight=comparison.weight,
        n=mine.figures.n,
    )


def _line(choice: Choice, asked: str) -> Line:
    n, overlap = choice.figures.n, choice.overlap
    mine = next(o for name, o in overlap.items() if name == asked)
    return Line(choice.strategy, choice.strategy == asked, choice.figures, mine.n, _part(mine.n, n), mine.jaccard)


def _part(some: int, whole: int) -> float | None:
    return some / whole if whole else None


def _overlap(comparison: Comparison) -> Grid:
    names = [choice.strategy for choice in comparison.choices]
    rows = [
        (choice.strategy, [_part(choice.overlap[name].n, choice.figures.n) for name in names])
        for choice in comparison.choices
    ]
    return Grid(names, rows, frozenset({comparison.asked}))


def _flags(choices: Sequence[Choice]) -> Sequence[tuple[str, Sequence[Flagged]]]:
    of_each = [(name, [choice.figures.health[name] for choice in choices]) for name in choices[0].figures.health]
    return [(name, some) for name, some in of_each if any(one.flagged for one in some)]


def _swept(comparison: Comparison, names: Sequence[str], asked: str) -> Grid:
    sweep = comparison.sweep
    shares = {(point.weight, point.rows): point.common_share for point in sweep.points}
    rows = [(f"{weight:g}", [shares[weight, size.rows] for size in sweep.sizes]) for weight in sweep.weights]
    return Grid(names, rows, frozenset({f"{comparison.weight:g}", asked}))


def _charts(comparison: Comparison) -> Sequence[tuple[str, Markup]]:
    drawn = (
        ("Trace length by weight", "mean_trace", "mean trace tokens"),
        ("Difficulty by weight", "mean_difficulty", "mean difficulty"),
    )
    made = ((title, charts.sweep_chart(comparison.sweep, of, label, comparison.weight)) for title, of, label in drawn)
    return [(title, chart) for title, chart in made if chart is not None]
