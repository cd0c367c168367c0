"""What every drawing of the page shares: a sheet with axes, what can be drawn on it, and its inline SVG.

Lines, steps, bars and boxes in plain SVG, and no more of it than these pages draw: a plotting library took half a
second to load and 40 ms a drawing, half of the time of a choice that is made again. Colours are CSS variables of the
page, so one drawing serves light, dark and print; the bytes depend on the numbers alone. Titles, keys and n are in
HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

INK, GRID, POOL, SELECTION, EASY, HARD = (
    "currentColor",
    *(f"var(--{name})" for name in ("line", "pool", "selection", "easy", "hard")),
)
TEXT = 11  # points: 10 on a phone, where the sheet is scaled down, and 13.5 in a column of two
_WIDTH, _HEIGHT = 396, 252
_LEFT, _RIGHT, _TOP = 49.5, 388, 7.5
BOTTOM, BOTTOM_OF_TWO_LINES = 214, 201.5
_TO_TICK, _LINE, _BASELINE = 5, 13.2, 8.8  # from the axis to the words at a tick; from line to line; within a line
_MOST_TICKS, _MOST_Y_TICKS = 6, 5
_STEPS = (1, 2, 2.5, 5, 10)
_ROOM = 0.05  # of the height, above and below what is drawn
_ALIKE = 1e-9  # part of the values by which rounding alone may tell them apart

Values = Sequence[float] | NDArray[np.float64]


@dataclass(slots=True)
class Sheet:
    """An empty sheet with the names of its axes. `x` holds its limits, and is to be set; `y` (lowest, highest)
    follows from the steps, lines, bars and whiskers, unless it is set. All places are in the units of the axes."""

    x_label: str
    y_label: str
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] | None = None
    bottom: float = BOTTOM
    right: float = _RIGHT
    x_is_log: bool = False
    x_ticks: Sequence[tuple[float, str]] | None = None  # null: round numbers, as many as there is room for
    y_name: Callable[[float], str] | None = None
    grid: bool = True
    _marks: list[Callable[[], str]] = field(default_factory=list, init=False)
    _heights: list[float] = field(default_factory=list, init=False)
    _on_ground: bool = field(default=False, init=False)

    # --- what can be drawn --------------------------------------------------------------------------------------------

    def steps(self, heights: Values, edges: Values, colour: str, *, filled: bool) -> None:
        """One step for each height, between two edges each, from 0 and back to it."""
        self._reach([0.0, *heights], on_ground=True)
        places = np.repeat(np.asarray(edges), 2)
        tops = [0.0, *np.repeat(np.asarray(heights), 2), 0.0]
        look = f'fill="{colour}" opacity=".4"' if filled else _stroke(colour, 2)
        self._marks.append(lambda: f'<path d="{self._way(places, tops)}" {look}/>')

    def line(
        self, x: Values, y: Values, colour: str, width: float, *, marker: str | None = None, dashed: bool = False
    ) -> None:
        """A line through the places; `marker` (`dot`, `disc`, `up`, `down`) stands at each."""
        self._reach(y)
        look = _stroke(colour, width, dashed=dashed)
        self._marks.append(lambda: f'<path d="{self._way(x, y)}" {look}/>{self._markers(x, y, marker, colour)}')

    def upright(self, x: float, colour: str, width: float) -> None:
        """A dashed line from the bottom to the top."""
        look = _stroke(colour, width, dashed=True)
        self._marks.append(lambda: f'<path d="M{_n(self._at_x(x))} {_n(self.bottom)}V{_n(_TOP)}" {look}/>')

    def bars(self, heights: Values, colour: str, *, width: float) -> None:
        """Bars at 0, 1, 2 and so on."""
        self._reach([0.0, *heights], on_ground=True)
        boxes = [(place - width / 2, 0.0, place + width / 2, height) for place, height in enumerate(heights)]
        self.boxes(boxes, colour, 0.55)

    def boxes(self, boxes: Iterable[tuple[float, float, float, float]], colour: str, opacity: float) -> None:
        """Boxes of one colour: left, low, right, high of each."""
        held = list(boxes)
        self._marks.append(lambda: self._boxed(held, colour, opacity))

    def whiskers(self, x: Values, low: Values, high: Values, colour: str) -> None:
        """An upright stroke at each place."""
        self._reach([*low, *high])
        spans = list(zip(x, low, high, strict=True))
        look = _stroke(colour, 1.4)
        self._marks.append(lambda: f'<path d="{"".join(self._way([a, a], [b, c]) for a, b, c in spans)}" {look}/>')

    def name_at_end(self, y: float, name: str, colour: str) -> None:
        """Words to the right of the sheet."""
        self._marks.append(lambda: _words(self.right + 7, self._at_y(y) + 3.8, name, "start", colour))

    def heights(self) -> tuple[float, float]:
        """The limits of the upright axis."""
        if self.y is not None:
            return self.y
        low, high = min(self._heights), max(self._heights)
        alike = high - low <= _ALIKE * max(abs(low), abs(high))
        room = max(1.0, _ROOM * max(abs(low), abs(high))) if alike else _ROOM * (high - low)
        return (low if self._on_ground and low == 0 else low - room), high + room

    # --- the sheet as SVG ---------------------------------------------------------------------------------------------

    def svg(self, alt: str) -> Markup:
        """The drawing for the page."""
        drawn = "".join(mark() for mark in self._marks)
        start = (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(alt)}"><title>{escape(alt)}</title>'
        )
        return Markup(f"{start}{self._axes()}{drawn}</svg>")  # our own drawing; every text in it is escaped

    def _axes(self) -> str:
        lines = [f'<path d="M{_n(_LEFT)} {_n(self.bottom)}H{_n(self.right)}" {_stroke(GRID, 0.8)}/>']
        words = []
        for place, name in self._y_ticks():
            y = self._at_y(place)
            words.append(_words(_LEFT - _TO_TICK, y + 3.8, name, "end"))
            if self.grid:
                lines.append(f'<path d="M{_n(_LEFT)} {_n(y)}H{_n(self.right)}" {_stroke(GRID, 0.8)}/>')
        below = self.bottom + _TO_TICK + _BASELINE
        rows = 1
        for place, name in self.x_ticks if self.x_ticks is not None else _round_ticks(self.x, _MOST_TICKS):
            parts = name.split("\n")
            rows = max(rows, len(parts))
            for row, part in enumerate(parts):
                words.append(_words(self._at_x(place), below + row * _LINE, part, "middle"))
        across, up = (_LEFT + self.right) / 2, (_TOP + self.bottom) / 2
        words.append(_words(across, below + rows * _LINE + 3.5, self.x_label, "middle"))
        turned = f'transform="translate(12 {_n(up)}) rotate(-90)" font-size="{TEXT}" text-anchor="middle"'
        words.append(f'<text {turned} fill="{INK}">{escape(self.y_label)}</text>')
        return "".join([*lines, *words])

    def _y_ticks(self) -> list[tuple[float, str]]:
        ticks = _round_ticks(self.heights(), _MOST_Y_TICKS)
        return ticks if self.y_name is None else [(place, self.y_name(place)) for place, _ in ticks]

    def _boxed(self, boxes: Sequence[tuple[float, float, float, float]], colour: str, opacity: float) -> str:
        ways = (
            f"M{_n(self._at_x(left))} {_n(self._at_y(low))}H{_n(self._at_x(right))}V{_n(self._at_y(high))}"
            f"H{_n(self._at_x(left))}Z"
            for left, low, right, high in boxes
        )
        return f'<path d="{"".join(ways)}" fill="{colour}" opacity="{opacity:g}"/>' if boxes else ""

    def _markers(self, x: Values, y: Values, marker: str | None, colour: str) -> str:
        places = [(self._at_x(a), self._at_y(b)) for a, b in zip(x, y, strict=True)]
        if marker in ("dot", "disc"):
            radius = 2.5 if marker == "disc" else 2
            return "".join(f'<circle cx="{_n(a)}" cy="{_n(b)}" r="{radius}" fill="{colour}"/>' for a, b in places)
        if marker in ("up", "down"):
            tip = -2.7 if marker == "up" else 2.7
            ways = "".join(f"M{_n(a - 2.7)} {_n(b - tip)}H{_n(a + 2.7)}L{_n(a)} {_n(b + tip)}Z" for a, b in places)
            return f'<path d="{ways}" fill="{colour}"/>'
        return ""

    def _way(self, x: Values, y: Values) -> str:
        places = [f"{_n(self._at_x(a))} {_n(self._at_y(b))}" for a, b in zip(x, y, strict=True)]
        return "M" + "L".join(places)

    def _at_x(self, value: float) -> float:
        low, high, value = np.log10([*self.x, value]) if self.x_is_log else (*self.x, value)
        return float(_LEFT + (value - low) / (high - low) * (self.right - _LEFT))

    def _at_y(self, value: float) -> float:
        low, high = self.heights()
        return float(self.bottom - (value - low) / (high - low) * (self.bottom - _TOP))

    def _reach(self, heights: Values, *, on_ground: bool = False) -> None:
        self._heights += [float(height) for height in heights]
        self._on_ground |= on_ground


def length_ticks(edges: NDArray[np.float64]) -> list[tuple[float, str]]:
    """1, 2, 5, 10, ... within the edges; where those would be too many 1, 3, 10, ..., then powers of ten."""
    low, high = float(edges[0]), float(edges[-1])
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = np.outer(powers, steps).ravel()
        inside = ticks[(ticks >= low) & (ticks <= high)]
        if inside.size <= _MOST_TICKS:
            break
    return [(tick, short(tick)) for tick in inside.tolist()]


def short(number: float) -> str:
    """1500 -> 1.5k."""
    size = abs(number)
    return f"{number:g}" if size < 1000 else f"{number / 1e3:g}k" if size < 1e6 else f"{number / 1e6:g}M"


def _round_ticks(limits: tuple[float, float], most: int) -> list[tuple[float, str]]:
    """Round numbers within the limits, at most `most` steps of them, with as many digits as tell them apart."""
    low, high = limits
    power = 10.0 ** np.floor(np.log10((high - low) / most))
    step = next(step for step in _STEPS if step * power * most >= (high - low) * (1 - 1e-9)) * power
    numbers = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    digits = next(digits for digits in range(13) if abs(round(step, digits) - step) < 1e-9 * step or digits == 12)
    return [(number, f"{number + 0.0:.{digits}f}".replace("-", "−")) for number in numbers.tolist()]


def _stroke(colour: str, width: float, *, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="5.6 4.2"' if dashed else ""
    return f'fill="none" stroke="{colour}" stroke-width="{width:g}"{dashes}'


def _words(x: float, y: float, words: str, anchor: str, colour: str = INK) -> str:
    place = f'x="{_n(x)}" y="{_n(y)}" font-size="{TEXT}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}">{escape(words)}</text>'


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def apart(places: Sequence[float], least: float) -> list[float]:
    """Places, ascending, pushed upwards where two are nearer than `least`."""
    moved = list(places[:1])
    for _, place in pairwise(places):
        moved.append(max(place, moved[-1] + least))
    return moved
