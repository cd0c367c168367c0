"""Texts cut in bytes, against Python's own strings."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from select2reason import utf8
from select2reason.frames import taken_over
from select2reason.utf8 import Bytes

BLOCKS = st.sampled_from([1, 2, 3, 1 << 18])
TEXTS = st.lists(st.none() | st.text(alphabet="a\né等", max_size=12), max_size=6)


@given(TEXTS, BLOCKS)
def test_texts_are_cut_as_strings_are(texts: list[str | None], block: int) -> None:
    held = Bytes.of(pl.Series(texts, dtype=pl.String))
    with patch.object(utf8, "_BLOCK", block):
        rows, starts, ends = held.cut_at_blank_lines()
    wanted = [(row, piece) for row, text in enumerate(texts) for piece in (text or "").split("\n\n")]
    assert list(zip(rows.tolist(), held.pieces(starts, ends).to_list(), strict=True)) == wanted


@given(TEXTS, st.integers(0, 3), BLOCKS)
def test_a_part_of_a_column_knows_its_own_bytes(texts: list[str | None], first: int, block: int) -> None:
    whole = Bytes.of(pl.Series(texts, dtype=pl.String))
    part, text = Bytes(whole.array[first:]), [text or "" for text in texts[first:]]
    assert bytes(part.data).decode() == "".join(text)
    assert [bytes(part.data[a:b]).decode() for a, b in zip(part.bounds, part.bounds[1:], strict=False)] == text
    with patch.object(utf8, "_BLOCK", block):
        assert part.rows(part.high).tolist() == [row for row, one in enumerate(text) for sign in one if sign == "等"]


@given(TEXTS, st.integers(0, 3), st.integers(0, 3))
def test_texts_are_parted_in_place(texts: list[str | None], first: int, second: int) -> None:
    held = [(text or "").encode() for text in texts]
    ends = np.minimum(np.cumsum(np.full((len(held), 2), [first, second]), axis=1), [[len(one)] for one in held] or 0)
    at = np.array(
        [[len(one[:a].decode(errors="ignore").encode()) for a in pair] for one, pair in zip(held, ends, strict=True)]
    )
    parts = Bytes.of(pl.Series(texts, dtype=pl.String)).parted(at.reshape(len(held), 2))
    assert len(parts) == 3
    for number, (head, middle, tail) in enumerate(zip(*parts, strict=True)):
        assert head + middle + tail == (texts[number] or "")
        assert len(head.encode()) == at[number][0]


@given(st.lists(st.text(alphabet="a\né等", max_size=20), min_size=1, max_size=8), st.integers(0, 3), st.booleans())
def test_views_of_one_piece_of_memory_are_the_same_texts(texts: list[str], first: int, mixed: bool) -> None:
    column = taken_over(Bytes.of(pl.Series(texts)).array)[first:]
    seen = Bytes.of(column.reverse() if mixed else column)
    assert seen.array.to_pylist() == (texts[first:][::-1] if mixed else texts[first:])


def test_what_lies_end_to_end_is_not_copied() -> None:
    whole = Bytes.of(pl.Series(["long " * 100, "short", "", "等" * 100]))
    seen = Bytes.of(taken_over(whole.array)[1:])
    assert seen.array.to_pylist() == ["short", "", "等" * 100]
    assert seen.array.buffers()[2].address == whole.array.buffers()[2].address
