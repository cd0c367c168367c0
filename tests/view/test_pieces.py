"""Text in pieces: nothing is lost, formulas are no prices, rethinking tokens are those that are counted."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from select2reason.report import plain
from select2reason.trace import rethinking_tokens
from select2reason.view.pieces import pieces

_DELIMITERS = (
    "$",
    "$$",
    r"\[",
    r"\]",
    r"\(",
    r"\)",
    r"\boxed{",
    "{",
    "}",
    "\\",
    r"\begin{align}",
    r"\end{align}",
    r"\$",
)
_WORDS = ("a", " ", "7", "\n\n", "wait", "Maybe", "等等", "\x1b[0m", "<script>")
MARKUP = st.lists(st.sampled_from((*_DELIMITERS, *_WORDS))).map("".join)


@given(MARKUP)
def test_the_pieces_laid_end_to_end_are_the_text(text: str) -> None:
    for rethinking in (False, True):
        assert "".join(piece.source for piece in pieces(text, rethinking=rethinking)) == plain.visible(text)


@given(st.text(max_size=200))
def test_any_text_at_all(text: str) -> None:
    assert "".join(piece.source for piece in pieces(text, rethinking=True)) == plain.visible(text)


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("so $x^2$ is", [("math", "x^2")]),
        ("$$\\frac{1}{2}$$", [("display", r"\frac{1}{2}")]),
        (r"\[a\] and \(b\)", [("display", "a"), ("math", "b")]),
        (r"It is \boxed{\frac{1}{2}}.", [("math", r"\boxed{\frac{1}{2}}")]),
        (r"\boxed{a\}b}", [("math", r"\boxed{a\}b}")]),
        (r"\begin{cases} x \\ y \end{cases}", [("display", r"\begin{cases} x \\ y \end{cases}")]),
        ("cards $ a $ or $ a+9 $", [("math", " a "), ("math", " a+9 ")]),
        (r"if $ p(a) \geq \frac{1}{2} $", [("math", r" p(a) \geq \frac{1}{2} ")]),
        ("it costs $5 and $7", []),
        ("it costs $ 5 and $ 7", []),
        ("it costs 5$ and 7$ here", []),
        (r"an escaped \$x\$ is none", []),
        ("never $closed", []),
        ("$over\n\na break$", []),
        (r"\begin{tikzpicture} x \end{tikzpicture}", []),
        (r"\boxed{never closed", []),
        ("$" + "x" * 5_000 + "$", []),
        ("$$$$", []),
    ],
    ids=lambda value: str(value)[:40],
)
def test_mathematics(text: str, formulas: list[tuple[str, str]]) -> None:
    assert [(piece.kind, piece.formula) for piece in pieces(text) if piece.kind != "text"] == formulas


def test_rethinking_tokens_are_marked_as_they_are_counted() -> None:
    trace = "Wait, waiting is no wait. MAYBE; however: alternatively-so. 等等，也许不过 \u212aaybe"
    marked = [piece.source for piece in pieces(trace, rethinking=True) if piece.kind == "rethinking"]
    assert marked == ["Wait", "wait", "MAYBE", "however", "alternatively", "等等", "也许", "不过"]
    assert len(marked) == rethinking_tokens(pl.Series([trace]))[0]


def test_real_traces_are_marked_as_they_are_counted(shared: object) -> None:
    from ..conftest import SHARED

    traces = pl.read_parquet(SHARED / "data" / "traces" / "limo_r1_distill_qwen32b.parquet")["solution"].head(40)
    distinct = pl.Series(["\n\n".join(dict.fromkeys(trace.split("\n\n"))) for trace in traces])
    marked = [sum(p.kind == "rethinking" for p in pieces(trace, rethinking=True)) for trace in distinct]
    inside = [sum(len(piece.source) for piece in pieces(trace) if piece.kind != "text") for trace in distinct]
    assert sum(inside) > 1_000
    for trace, n, counted in zip(distinct, marked, rethinking_tokens(distinct), strict=True):
        assert 0 <= counted - n <= trace.count(r"\text")  # words within a formula are counted, and not marked
