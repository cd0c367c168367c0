"""The page's plots as inline SVG: how values are spread, the rethinking study (METHOD 1), the sweep over weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from select2reason.comparing import Point, Size, Sweep
from select2reason.report import plain
from select2reason.report.canvas import (
    BOTTOM_OF_TWO_LINES,
    EASY,
    HARD,
    INK,
    POOL,
    SELECTION,
    TEXT_POINTS,
    canvas,
    length_ticks,
    short,
    svg,
)
from select2reason.report.distributions import Histogram
from select2reason.report.study import Group, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARE = "share of examples, %"
_APART = 0.062  # of the height: nearer names of lines would run into each other


# --- how values are spread ------------------------------------------------------------------------------------------


def length_chart(name: str, histogram: Histogram, label: str) -> Markup:
    """Share of examples by a number of tokens, logarithmic; pool filled, selection as a line."""
    figure, axes = canvas(f"{label} (logarithmic)", _SHARE)
    axes.set_xscale("log")
    _outline(axes, histogram)
    ticks = length_ticks(histogram.edges)
    axes.set_xticks(ticks, [short(tick) for tick in ticks])
    axes.minorticks_off()
    return svg(figure, name, _spread(label, histogram, 0))


def linear_chart(name: str, histogram: Histogram, label: str, places: int) -> Markup:
    """Share of examples by a value on an even scale."""
    figure, axes = canvas(label, _SHARE)
    _outline(axes, histogram)
    axes.locator_params(axis="x", nbins=6)
    return svg(figure, name, _spread(label, histogram, places))


def _outline(axes: Axes, histogram: Histogram) -> None:
    axes.stairs(_percent(histogram.pool), histogram.edges, fill=True, color=POOL, alpha=0.4, linewidth=0)
    _median(axes, histogram.pool_median, POOL)
    if histogram.selection is not None and histogram.selection.any():
        axes.stairs(_percent(histogram.selection), histogram.edges, color=SELECTION, linewidth=2)
        _median(axes, histogram.selection_median, SELECTION)
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])


def _percent(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return 100 * counts / max(int(counts.sum()), 1)


def _median(axes: Axes, value: float | None, colour: str) -> None:
    if value is not None:
        axes.axvline(value, color=colour, linewidth=1.4, dashes=(4, 3))


def _spread(what: str, histogram: Histogram, places: int) -> str:
    sides = [("pool", histogram.pool, histogram.pool_median)]
    if histogram.selection is not None:
        sides.append(("selection", histogram.selection, histogram.selection_median))
    said = (f"{name} n = {n.sum():,}, median {plain.decimal(median, places)}" for name, n, median in sides)
    return f"{what}: {'; '.join(said)}."


# --- the rethinking study -------------------------------------------------------------------------------------------


def by_length_chart(study: Study, *, per_1000: bool) -> Markup:
    """Mean rethinking tokens by tenth of trace length, over all traces and at both ends of difficulty."""
    label = _study_label(per_1000)
    figure, axes = canvas("tenth of the traces by length (10 = longest)", label, bottom=BOTTOM_OF_TWO_LINES)
    lines = [
        (study.by_length, POOL, "o"),
        (study.by_length_easiest, EASY, "v"),
        (study.by_length_hardest, HARD, "^"),
    ]
    for groups, colour, marker in lines:
        _points(axes, groups, per_1000, colour, marker)
    axes.set_xticks(range(1, 11))
    axes.set_xlim(0.5, 10.5)
    axes.set_ylim(bottom=0)
    return svg(figure, f"by-length-{per_1000:d}", _study_alt("length", study.by_length, per_1000))


def by_difficulty_chart(study: Study, *, per_1000: bool) -> Markup:
    """The same by quarter of difficulty; each bar carries its range and n."""
    label = _study_label(per_1000)
    figure, axes = canvas("quarter of the traces by difficulty", label, bottom=BOTTOM_OF_TWO_LINES)
    groups = study.by_difficulty
    places = range(len(groups))
    axes.bar(places, [_height(g, per_1000) for g in groups], width=0.62, color=POOL, alpha=0.55)
    if not per_1000:
        _whiskers(axes, places, groups, INK)
    axes.set_xticks(places, [f"{g.low:.2f}–{g.high:.2f}\nn = {g.n:,}" for g in groups])
    axes.set_xlim(-0.6, len(groups) - 0.4)
    return svg(figure, f"by-difficulty-{per_1000:d}", _study_alt("difficulty", groups, per_1000))


def _points(axes: Axes, groups: Sequence[Group], per_1000: bool, colour: str, marker: str) -> None:
    places = [group.part for group in groups]
    heights = [_height(group, per_1000) for group in groups]
    axes.plot(places, heights, color=colour, marker=marker, markersize=5, linewidth=1.7)
    if not per_1000:
        _whiskers(axes, places, groups, colour)


def _whiskers(axes: Axes, places: Iterable[int], groups: Sequence[Group], colour: str) -> None:
    """One standard error to each side of the mean; none where n is 1."""
    for place, group in zip(places, groups, strict=True):
        error = group.stderr or 0.0
        axes.vlines(place, group.mean - error, group.mean + error, colors=colour, linewidth=1.4)


def _height(group: Group, per_1000: bool) -> float:
    return group.per_1000 if per_1000 else group.mean


def _study_label(per_1000: bool) -> str:
    return "rethinking tokens per 1,000" if per_1000 else "rethinking tokens per trace"


def _study_alt(what: str, groups: Sequence[Group], per_1000: bool) -> str:
    means = ", ".join(f"{_height(group, per_1000):.2f}" for group in groups)
    n = sum(group.n for group in groups)
    return f"Mean {_study_label(per_1000)} by {what}, lowest to highest group, n = {n:,}: {means}."


# --- the sweep ------------------------------------------------------------------------------------------------------


def sweep_chart(sweep: Sweep, figure_of: str, label: str, weight: float) -> Markup | None:
    """One figure of `Point` by weight, a line for each size, the size asked for in the selection's colour; null where
    it has no value."""
    lines = [(size, _known(sweep.at(size.rows), figure_of)) for size in sweep.sizes]
    if not all(values for _, values in lines):
        return None
    figure, axes = canvas("weight of difficulty (1 − weight: of length)", label, right=0.84)
    for size, values in lines:
        colour, width = (SELECTION, 2.4) if size.asked else (POOL, 1.5)
        axes.plot(
            [w for w, _ in values], [v for _, v in values], color=colour, linewidth=width, marker=".", clip_on=False
        )
    axes.axvline(weight, color=SELECTION, linewidth=1.2, dashes=(4, 3))
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_formatter(lambda value, _: short(value))
    _name_lines(axes, [(values[-1][1], size_name(size), size.asked) for size, values in lines])
    ends = "; ".join(
        f"{plain.count(size.rows)} examples from {values[0][1]:,.2f} to {values[-1][1]:,.2f}" for size, values in lines
    )
    return svg(figure, f"sweep-{figure_of}", f"{label} by weight from 0 to 1, by size: {ends}.")


def size_name(size: Size) -> str:
    """A size as people say it: 10%, or 1,000."""
    return plain.count(size.rows) if size.fraction is None else f"{100 * float(size.fraction):g}%"


def _known(points: Sequence[Point], figure_of: str) -> list[tuple[float, float]]:
    return [(p.weight, float(value)) for p in points if (value := getattr(p, figure_of)) is not None]


def _name_lines(axes: Axes, ends: Sequence[tuple[float, str, bool]]) -> None:
    """Names at the right ends of lines, pushed apart where they would touch."""
    low, high = axes.get_ylim()
    least, place = _APART * (high - low), -np.inf
    for end, name, asked in sorted(ends):
        place = max(end, place + least)
        axes.annotate(
            name,
            (1, place),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            size=TEXT_POINTS,
            color=SELECTION if asked else INK,
            annotation_clip=False,
        )
