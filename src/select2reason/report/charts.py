"""The page's plots as inline SVG: the rethinking study (METHOD 1), and how length and difficulty are spread.

Drawn by Matplotlib's object interface, imported on first use. Colours are CSS variables of the page, so one
drawing serves light, dark and print; the bytes depend on the numbers alone. Titles, keys and n are in HTML.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from select2reason.report import plain
from select2reason.report.distributions import Histogram, Plane
from select2reason.report.study import Group, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path

# Sentinels: Matplotlib wants real colours, the page wants variables. Nothing else on the page uses these.
_INK, _GRID, _POOL, _SELECTION, _EASY, _HARD = (f"#01020{digit}" for digit in range(3, 9))
_VARIABLES = {
    _INK: "currentColor",
    _GRID: "var(--line)",
    _POOL: "var(--pool)",
    _SELECTION: "var(--selection)",
    _EASY: "var(--easy)",
    _HARD: "var(--hard)",
}
_INCHES = (6.1, 3.9)  # 439 points wide: text of 12 points stays legible when a phone shrinks it to 358
_MARGINS = {"left": 0.115, "right": 0.98, "top": 0.97}  # fixed: a layout pass doubles the time
_BOTTOM, _BOTTOM_OF_STUDY = 0.15, 0.2  # the study's quarters have labels of two lines
_TEXT_POINTS = 12
_SHADES = (0.08, 0.16, 0.25, 0.34, 0.44, 0.55, 0.66, 0.78, 0.9)  # opacity of the plane's cells, fewest to most examples
_MOST_TICKS = 6


def length_chart(histogram: Histogram) -> Markup:
    """Share of examples by trace length, logarithmic; pool filled, selection as a line."""
    figure, axes = _canvas("trace tokens (logarithmic)", "share of examples, %")
    axes.set_xscale("log")
    _outline(axes, histogram)
    ticks = _length_ticks(histogram.edges)
    axes.set_xticks(ticks, [_short(tick) for tick in ticks])
    axes.minorticks_off()
    return _svg(figure, "length", _spread("Trace length in tokens", histogram, 0))


def difficulty_chart(histogram: Histogram) -> Markup:
    """Share of examples by difficulty."""
    figure, axes = _canvas("difficulty (higher = harder)", "share of examples, %")
    _outline(axes, histogram)
    return _svg(figure, "difficulty", _spread("Difficulty", histogram, 2))


def plane_chart(plane: Plane) -> Markup:
    """Cells of difficulty x length: shade = examples of the pool; area of the square = share selected."""
    figure, axes = _canvas("trace tokens (logarithmic)", "difficulty (higher = harder)")
    x, y = np.log10(plane.lengths), plane.difficulties
    for shade, cells in zip(_SHADES, _shades(plane.pool), strict=True):
        _patch(axes, _squares(x, y, cells.astype(np.float64)), _POOL, shade)
    chosen = np.zeros_like(plane.pool) if plane.selection is None else plane.selection
    _patch(axes, _squares(x, y, 0.9 * np.sqrt(chosen / np.maximum(plane.pool, 1))), _SELECTION, 1.0)
    ticks = _length_ticks(plane.lengths)
    axes.set_xticks(np.log10(ticks), [_short(tick) for tick in ticks])
    axes.grid(visible=False)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    alt = f"Difficulty against trace length: {plain.count(plane.pool.sum())} examples of the pool in cells"
    return _svg(figure, "plane", alt + f", {plain.count(chosen.sum())} of them selected.")


def by_length_chart(study: Study, *, per_1000: bool) -> Markup:
    """Mean rethinking tokens by tenth of trace length, over all traces and at both ends of difficulty."""
    figure, axes = _canvas("tenth of the traces by length (10 = longest)", _study_label(per_1000), _BOTTOM_OF_STUDY)
    lines = [
        (study.by_length, _POOL, "o"),
        (study.by_length_easiest, _EASY, "v"),
        (study.by_length_hardest, _HARD, "^"),
    ]
    for groups, colour, marker in lines:
        _points(axes, groups, per_1000, colour, marker)
    axes.set_xticks(range(1, 11))
    axes.set_xlim(0.5, 10.5)
    axes.set_ylim(bottom=0)
    return _svg(figure, f"by-length-{per_1000:d}", _study_alt("length", study.by_length, per_1000))


def by_difficulty_chart(study: Study, *, per_1000: bool) -> Markup:
    """The same by quarter of difficulty; each bar carries its range and n."""
    figure, axes = _canvas("quarter of the traces by difficulty", _study_label(per_1000), _BOTTOM_OF_STUDY)
    groups = study.by_difficulty
    places = range(len(groups))
    axes.bar(places, [_height(g, per_1000) for g in groups], width=0.62, color=_POOL, alpha=0.55)
    if not per_1000:
        _whiskers(axes, places, groups, _INK)
    axes.set_xticks(places, [f"{g.low:.2f}–{g.high:.2f}\nn = {g.n:,}" for g in groups])
    axes.set_xlim(-0.6, len(groups) - 0.4)
    return _svg(figure, f"by-difficulty-{per_1000:d}", _study_alt("difficulty", groups, per_1000))


def _canvas(x: str, y: str, bottom: float = _BOTTOM) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES)
    figure.subplots_adjust(**_MARGINS, bottom=bottom)
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x, size=_TEXT_POINTS, color=_INK)
    axes.set_ylabel(y, size=_TEXT_POINTS, color=_INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.tick_params(length=0, pad=5, labelsize=_TEXT_POINTS, labelcolor=_INK)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.locator_params(axis="y", nbins=5)
    return figure, axes


def _outline(axes: Axes, histogram: Histogram) -> None:
    axes.stairs(_percent(histogram.pool), histogram.edges, fill=True, color=_POOL, alpha=0.4, linewidth=0)
    _median(axes, histogram.pool_median, _POOL)
    if histogram.selection is not None and histogram.selection.any():
        axes.stairs(_percent(histogram.selection), histogram.edges, color=_SELECTION, linewidth=2)
        _median(axes, histogram.selection_median, _SELECTION)
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])


def _percent(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return 100 * counts / max(int(counts.sum()), 1)


def _median(axes: Axes, value: float | None, colour: str) -> None:
    if value is not None:
        axes.axvline(value, color=colour, linewidth=1.4, dashes=(4, 3))


def _points(axes: Axes, groups: Sequence[Group], per_1000: bool, colour: str, marker: str) -> None:
    places = [group.part for group in groups]
    heights = [_height(group, per_1000) for group in groups]
    axes.plot(places, heights, color=colour, marker=marker, markersize=5.5, linewidth=1.8)
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


def _spread(what: str, histogram: Histogram, places: int) -> str:
    sides = [("pool", histogram.pool, histogram.pool_median)]
    if histogram.selection is not None:
        sides.append(("selection", histogram.selection, histogram.selection_median))
    said = (f"{name} n = {n.sum():,}, median {plain.decimal(median, places)}" for name, n, median in sides)
    return f"{what}: {'; '.join(said)}."


def _length_ticks(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """1, 2, 5, 10, ... within the edges; where those would be too many 1, 3, 10, ..., then powers of ten."""
    low, high = float(edges[0]), float(edges[-1])
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = np.outer(powers, steps).ravel()
        inside = ticks[(ticks >= low) & (ticks <= high)]
        if inside.size <= _MOST_TICKS:
            break
    return inside


def _short(tokens: float) -> str:
    return f"{tokens:g}" if tokens < 1000 else f"{tokens / 1e3:g}k" if tokens < 1e6 else f"{tokens / 1e6:g}M"


def _shades(counts: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """One mask per shade; shades are even steps of the logarithm of the count."""
    step = np.log(counts.max() + 1) / len(_SHADES)
    level = np.ceil(np.log(counts + 1) / step - 1e-9)
    return [level == shade for shade in range(1, len(_SHADES) + 1)]


def _squares(x: NDArray[np.float64], y: NDArray[np.float64], sides: NDArray[np.float64]) -> Path | None:
    """One path of centred boxes, each `sides` (0..1) of its cell wide and high; null where all are 0."""
    from matplotlib.path import Path

    boxes = []
    for i, j in np.argwhere(sides > 0):
        cut = (1 - sides[i, j]) / 2
        (left, right), (low, high) = _inner(x, i, cut), _inner(y, j, cut)
        boxes.append(Path([[left, low], [right, low], [right, high], [left, high], [left, low]], closed=True))
    return Path.make_compound_path(*boxes) if boxes else None


def _inner(edges: NDArray[np.float64], i: int, cut: float) -> tuple[float, float]:
    width = edges[i + 1] - edges[i]
    return float(edges[i] + cut * width), float(edges[i + 1] - cut * width)


def _patch(axes: Axes, path: Path | None, colour: str, alpha: float) -> None:
    from matplotlib.patches import PathPatch

    if path is not None:
        axes.add_patch(PathPatch(path, facecolor=colour, alpha=alpha, linewidth=0))


def _svg(figure: Figure, name: str, alt: str) -> Markup:
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return Markup(_inline(out.getvalue(), alt))  # our own drawing; alt is escaped


def _inline(svg: str, alt: str) -> str:
    """The drawing without what only a file of its own needs, in the page's colours and font."""
    body = svg[svg.index("<svg") :]
    for unwanted in (
        r"<metadata>.*?</metadata>",
        r"<style.*?</style>",
        r"<!--.*?-->",
        r" font-family: [^;\"]*;?",
    ):
        body = re.sub(unwanted, "", body, flags=re.DOTALL)
    used = set(re.findall(r"#(\w+)", body))
    body = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", body)
    for sentinel, variable in _VARIABLES.items():
        body = body.replace(sentinel, variable)
    box = re.search(r'viewBox="[^"]*"', body)
    start = f'<svg {box[0] if box else ""} role="img" aria-label="{escape(alt)}"><title>{escape(alt)}</title>'
    return start + re.sub(r"\s*\n\s*", " ", body[body.index(">") + 1 :]).strip()
