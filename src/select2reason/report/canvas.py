"""What every drawing of the page shares: the sheet, its axes, and the way from Matplotlib to inline SVG.

Drawn by Matplotlib's object interface, imported on first use. Colours are CSS variables of the page, so one
drawing serves light, dark and print; the bytes depend on the numbers alone. Titles, keys and n are in HTML.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Sentinels: Matplotlib wants real colours, the page wants variables. Nothing else on the page uses these.
INK, GRID, POOL, SELECTION, EASY, HARD = (f"#0102{digit:02x}" for digit in range(3, 9))
_VARIABLES = {
    INK: "currentColor",
    GRID: "var(--line)",
    POOL: "var(--pool)",
    SELECTION: "var(--selection)",
    EASY: "var(--easy)",
    HARD: "var(--hard)",
}
TEXT_POINTS = 11
_INCHES = (5.5, 3.5)  # 396 points wide: text of 11 points is 10 on a phone and 13.5 in a column of two
_MARGINS = {"left": 0.125, "right": 0.98, "top": 0.97}  # fixed: a layout pass doubles the time
BOTTOM, BOTTOM_OF_TWO_LINES = 0.15, 0.2
_MOST_TICKS = 6


def canvas(x: str, y: str, *, bottom: float = BOTTOM, right: float = _MARGINS["right"]) -> tuple[Figure, Axes]:
    """An empty sheet with its labels; every drawing is as large, so that all text on the page is."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES)
    figure.subplots_adjust(**_MARGINS | {"right": right}, bottom=bottom)
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x, size=TEXT_POINTS, color=INK)
    axes.set_ylabel(y, size=TEXT_POINTS, color=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(length=0, pad=5, labelsize=TEXT_POINTS, labelcolor=INK)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.locator_params(axis="y", nbins=5)
    return figure, axes


def length_ticks(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """1, 2, 5, 10, ... within the edges; where those would be too many 1, 3, 10, ..., then powers of ten."""
    low, high = float(edges[0]), float(edges[-1])
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = np.outer(powers, steps).ravel()
        inside = ticks[(ticks >= low) & (ticks <= high)]
        if inside.size <= _MOST_TICKS:
            break
    return inside


def short(tokens: float) -> str:
    """1500 -> 1.5k."""
    return f"{tokens:g}" if tokens < 1000 else f"{tokens / 1e3:g}k" if tokens < 1e6 else f"{tokens / 1e6:g}M"


def svg(figure: Figure, name: str, alt: str) -> Markup:
    """The drawing for the page; `name` keeps its inner ids apart from those of others."""
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
