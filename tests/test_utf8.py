"""Texts cut in bytes, against Python's own strings."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from select2reason.utf8 import Bytes

TEXTS = st.lists(st.none() | st.text(alphabet="a\né等", max_size=12), max_size=6)


@given(TEXTS)
def test_texts_are_cut_as_strings_are(texts: list[str | None]) -> None:
    held = Bytes.of(pl.Series(texts, dtype=pl.String))
    rows, starts, ends = held.cut_at_blank_lines()
    wanted = [(row, piece) for row, text in enumerate(texts) for piece in (text or "").split("\n\n")]
    assert list(zip(rows.tolist(), held.pieces(starts, ends).to_list(), strict=True)) == wanted


@given(TEXTS, st.integers(0, 3))
def test_a_part_of_a_column_knows_its_own_bytes(texts: list[str | None], first: int) -> None:
    whole = Bytes.of(pl.Series(texts, dtype=pl.String))
    part, text = Bytes(whole.array[first:]), [text or "" for text in texts[first:]]
    assert bytes(part.data).decode() == "".join(text)
    assert [bytes(part.data[a:b]).decode() for a, b in zip(part.bounds, part.bounds[1:], strict=False)] == text
    assert part.rows(part.high).tolist() == [row for row, one in enumerate(text) for sign in one if sign == "等"]
