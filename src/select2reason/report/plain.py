"""Figures and pool text as a reader sees them: thousands separators, shares, excerpts with the cut stated.

Text of a pool is shown, never obeyed: terminal and direction controls become visible signs. Markup is the
template's matter, which escapes everything.
"""

from dataclasses import dataclass

from select2reason.signs import visible as visible

EXCERPT_CHARS = 600  # shown from each end of a long text
_SLACK = 200  # a text this little over two excerpts is shown whole
NOT_MEASURED = "not measured"

_SIZES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Excerpt:
    """`left_out` characters stand between `head` and `tail`; 0 means that `head` is the whole text."""

    head: str
    left_out: int = 0
    tail: str = ""


def excerpt(text: str | None, chars: int = EXCERPT_CHARS) -> Excerpt:
    """The first and last `chars` characters of a long text."""
    whole = text or ""
    left_out = len(whole) - 2 * chars
    return Excerpt(whole) if left_out <= _SLACK else Excerpt(whole[:chars], left_out, whole[-chars:])


def opening(text: str | None, chars: int = 160) -> str:
    """The first words of a text on one line, `…` where it goes on."""
    line = " ".join((text or "")[: 4 * chars].split())
    return line if len(line) <= chars else line[: chars - 1].rstrip() + "…"


def count(n: float | None) -> str:
    """1234567 -> 1,234,567."""
    return NOT_MEASURED if n is None else f"{n:,.0f}"


def compact(n: float | None) -> str:
    """Below ten thousand as `count` has it, then three digits: 12.3 k, 4.56 M, 7.89 B."""
    if n is None or n < 10_000:
        return count(n)
    size, letter = next((size, letter) for size, letter in _SIZES if n >= 0.9995 * size)
    return f"{n / size:#.3g}".rstrip(".") + f"\N{NO-BREAK SPACE}{letter}"


def decimal(x: float | None, places: int = 2) -> str:
    """A fixed number of places, so that columns line up."""
    return NOT_MEASURED if x is None else f"{x:,.{places}f}"


def share(x: float | None) -> str:
    """0.1234 -> 12.3%; only none at all is 0%, and only all is 100%."""
    if x is None:
        return NOT_MEASURED
    if x in (0, 1):
        return f"{100 * x:.0f}%"
    if 0 < x < 0.001:
        return "<0.1%"
    if 0.999 < x < 1:
        return ">99.9%"
    return f"{100 * x:.1f}%"
