"""Figures and pool text as a reader sees them."""

import pytest

from select2reason.report import plain


@pytest.mark.parametrize(
    ("x", "shown"),
    [
        (None, "not measured"),
        (0.0, "0%"),
        (1e-9, "<0.1%"),
        (0.1234, "12.3%"),
        (0.9999, ">99.9%"),
        (1.0, "100%"),
    ],
)
def test_share(x: float | None, shown: str) -> None:
    assert plain.share(x) == shown


@pytest.mark.parametrize(
    ("n", "shown"),
    [
        (None, "not measured"),
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0 k"),
        (999_499, "999 k"),
        (999_600, "1.00 M"),
        (12_345_678, "12.3 M"),
        (1_234_000_000, "1.23 B"),
        (5_000_000_000_000, "5.00 T"),
    ],
)
def test_compact(n: int | None, shown: str) -> None:
    assert plain.compact(n).replace("\N{NO-BREAK SPACE}", " ") == shown


def test_a_long_text_shows_both_ends_and_what_is_left_out() -> None:
    cut = plain.excerpt("a" * 600 + "b" * 5000 + "c" * 600)
    assert (cut.head, cut.left_out, cut.tail) == ("a" * 600, 5000, "c" * 600)


@pytest.mark.parametrize("text", ["", None, "short", "x" * 1400])
def test_a_short_text_is_whole(text: str | None) -> None:
    assert plain.excerpt(text) == plain.Excerpt(text or "")


def test_opening_is_one_line() -> None:
    assert plain.opening("two\n\nlines  here") == "two lines here"
    assert plain.opening("word " * 100, 20) == "word word word word…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("a\x00b\x7f", "a␀b⟦U+007F⟧"),
        ("\u202egnirts\u2066", "⟦U+202E⟧gnirts⟦U+2066⟧"),
        ("line\r\nline\tend\n", "line\nline\tend\n"),
        ("مرحبا\u200f", "مرحبا\u200f"),
    ],
)
def test_controls_become_visible(text: str, shown: str) -> None:
    assert plain.visible(text) == shown
