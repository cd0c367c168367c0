"""The page's plots as inline SVG: how values are spread, the rethinking study (METHOD 1), the sweep over weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
    Sheet,
    apart,
    length_ticks,
    short,
)
from select2reason.report.distributions import Histogram
from select2reason.report.study import Group, Study

_SHARE = "share of examples, %"
_APART = 0.062  # of the height: nearer names of lines would run into each other


# --- how values are spread ------------------------------------------------------------------------------------------


def length_chart(histogram: Histogram, label: str) -> Markup:
    """Share of examples by a number of tokens, logarithmic; pool filled, selection as a line."""
    sheet = Sheet(f"{label} (logarithmic)", _SHARE, x_is_log=True, x_ticks=length_ticks(histogram.edges))
    _outline(sheet, histogram)
    return sheet.svg(_spread(label, histogram, 0))


def linear_chart(histogram: Histogram, label: str, places: int) -> Markup:
    """Share of examples by a value on an even scale."""
    sheet = Sheet(label, _SHARE)
    _outline(sheet, histogram)
    return sheet.svg(_spread(label, histogram, places))


def _outline(sheet: Sheet, histogram: Histogram) -> None:
    sheet.x = (float(histogram.edges[0]), float(histogram.edges[-1]))
    sheet.steps(_percent(histogram.pool), histogram.edges, POOL, filled=True)
    _median(sheet, histogram.pool_median, POOL)
    if histogram.selection is not None and histogram.selection.any():
        sheet.steps(_percent(histogram.selection), histogram.edges, SELECTION, filled=False)
        _median(sheet, histogram.selection_median, SELECTION)


def _percent(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return 100 * counts / max(int(counts.sum()), 1)


def _median(sheet: Sheet, value: float | None, colour: str) -> None:
    if value is not None:
        sheet.upright(value, colour, 1.4)


def _spread(what: str, histogram: Histogram, places: int) -> str:
    sides = [("pool", histogram.pool, histogram.pool_median)]
    if histogram.selection is not None:
        sides.append(("selection", histogram.selection, histogram.selection_median))
    said = (f"{name} n = {n.sum():,}, median {plain.decimal(median, places)}" for name, n, median in sides)
    return f"{what}: {'; '.join(said)}."


# --- the rethinking study -------------------------------------------------------------------------------------------


def by_length_chart(study: Study, *, per_1000: bool) -> Markup:
    """Mean rethinking tokens by tenth of trace length, over all traces and at both ends of difficulty."""
    label, tenths = _study_label(per_1000), [(float(part), str(part)) for part in range(1, 11)]
    name = "tenth of the traces by length (10 = longest)"
    sheet = Sheet(name, label, x=(0.5, 10.5), bottom=BOTTOM_OF_TWO_LINES, x_ticks=tenths)
    lines = [
        (study.by_length, POOL, "disc"),
        (study.by_length_easiest, EASY, "down"),
        (study.by_length_hardest, HARD, "up"),
    ]
    for groups, colour, marker in lines:
        _points(sheet, groups, per_1000, colour, marker)
    sheet.y = (0.0, sheet.heights()[1])
    return sheet.svg(_study_alt("length", study.by_length, per_1000))


def by_difficulty_chart(study: Study, *, per_1000: bool) -> Markup:
    """The same by quarter of difficulty; each bar carries its range and n."""
    groups = study.by_difficulty
    ticks = [(float(at), f"{g.low:.2f}–{g.high:.2f}\nn = {g.n:,}") for at, g in enumerate(groups)]
    limits = (-0.6, len(groups) - 0.4)
    sheet = Sheet(
        "quarter of the traces by difficulty",
        _study_label(per_1000),
        x=limits,
        bottom=BOTTOM_OF_TWO_LINES,
        x_ticks=ticks,
    )
    sheet.bars([_height(g, per_1000) for g in groups], POOL, width=0.62)
    if not per_1000:
        _whiskers(sheet, range(len(groups)), groups, INK)
    return sheet.svg(_study_alt("difficulty", groups, per_1000))


def _points(sheet: Sheet, groups: Sequence[Group], per_1000: bool, colour: str, marker: str) -> None:
    if not groups:
        return
    places = [float(group.part) for group in groups]
    sheet.line(places, [_height(group, per_1000) for group in groups], colour, 1.7, marker=marker)
    if not per_1000:
        _whiskers(sheet, places, groups, colour)


def _whiskers(sheet: Sheet, places: Iterable[float], groups: Sequence[Group], colour: str) -> None:
    """One standard error to each side of the mean; none where n is 1."""
    errors = [group.stderr or 0.0 for group in groups]
    low = [max(0.0, group.mean - error) for group, error in zip(groups, errors, strict=True)]
    high = [group.mean + error for group, error in zip(groups, errors, strict=True)]
    sheet.whiskers(list(places), low, high, colour)


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
    sheet = Sheet("weight of difficulty (1 − weight: of length)", label, right=333, y_name=short)
    for size, values in lines:
        colour, width = (SELECTION, 2.4) if size.asked else (POOL, 1.5)
        sheet.line([w for w, _ in values], [v for _, v in values], colour, width, marker="dot")
    sheet.upright(weight, SELECTION, 1.2)
    _name_lines(sheet, [(values[-1][1], size_name(size), size.asked) for size, values in lines])
    ends = "; ".join(
        f"{plain.count(size.rows)} examples from {values[0][1]:,.2f} to {values[-1][1]:,.2f}" for size, values in lines
    )
    return sheet.svg(f"{label} by weight from 0 to 1, by size: {ends}.")


def size_name(size: Size) -> str:
    """A size as people say it: 10%, or 1,000."""
    return plain.count(size.rows) if size.fraction is None else f"{100 * float(size.fraction):g}%"


def _known(points: Sequence[Point], figure_of: str) -> list[tuple[float, float]]:
    return [(p.weight, float(value)) for p in points if (value := getattr(p, figure_of)) is not None]


def _name_lines(sheet: Sheet, ends: Sequence[tuple[float, str, bool]]) -> None:
    """Names at the right ends of lines, pushed apart where they would touch."""
    low, high = sheet.heights()
    ordered = sorted(ends)
    for place, (_, name, asked) in zip(
        apart([end for end, _, _ in ordered], _APART * (high - low)), ordered, strict=True
    ):
        sheet.name_at_end(place, name, SELECTION if asked else INK)
