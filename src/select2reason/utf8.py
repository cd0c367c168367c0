"""Texts as the bytes that they are: a column end to end, looked through in NumPy where that is faster than by strings.

In UTF-8 a line break is one byte and part of nothing else, and the first byte of a code point grows with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from select2reason.frames import taken_over

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INLINE = 12  # bytes of a text that a view holds in itself, by Arrow's format
HIGH = 0xCC  # the first byte of U+0300: below it there is nothing that any of our looks asks for
_BREAK = 0x0A
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Bytes:
    """The texts of a column, end to end; `of` makes it."""

    array: pa.LargeStringArray

    @classmethod
    def of(cls, texts: pl.Series) -> Bytes:
        """The bytes of these texts, copied unless they lie end to end already; a null is empty."""
        whole = texts.fill_null("") if texts.null_count() else texts
        return cls(_as_they_lie(whole) or whole.to_arrow(compat_level=pl.CompatLevel.oldest()))

    def __len__(self) -> int:
        return len(self.array)

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        return np.frombuffer(self.array.buffers()[1], np.int64)[self.array.offset :][: len(self) + 1]

    @cached_property
    def bounds(self) -> NDArray[np.int64]:
        """Where each text begins in `data`, and where the last one ends: (n + 1,)."""
        starts: NDArray[np.int64] = self._offsets - self._offsets[0]
        return starts

    @cached_property
    def data(self) -> NDArray[np.uint8]:
        """The bytes of all texts."""
        return np.frombuffer(self.array.buffers()[2] or b"", np.uint8)[self._offsets[0] : self._offsets[-1]]

    @cached_property
    def high(self) -> NDArray[np.int64]:
        """Places of the bytes that begin a code point from U+0300 on."""
        return _places(self.data, _are_high)

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """The text that holds each place."""
        return np.searchsorted(self.bounds, places, side="right") - 1

    def cut_at_blank_lines(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Each text cut at every two line breaks from the left, as `str.split` cuts: the text that each piece is of,
        and where it begins and ends in `data`; a text without a cut is one piece."""
        cuts = self._blank_lines()
        pieces = np.diff(np.searchsorted(cuts, self.bounds)) + 1
        first = np.cumsum(pieces) - pieces
        starts, ends = np.empty((2, len(cuts) + len(self)), np.int64)
        inner = np.ones(len(starts), np.bool_)
        inner[first] = False
        starts[first], starts[inner] = self.bounds[:-1], cuts + 2
        inner = np.ones(len(starts), np.bool_)
        inner[first + pieces - 1] = False
        ends[~inner], ends[inner] = self.bounds[1:], cuts
        return np.repeat(np.arange(len(self)), pieces), starts, ends

    @cached_property
    def breaks(self) -> NDArray[np.int64]:
        """Places of the line breaks that are followed by another."""
        return _places(self.data, _are_breaks, after=1)

    def _blank_lines(self) -> NDArray[np.int64]:
        """Where two line breaks of one text stand together; of more than two together every second place."""
        pairs = self.breaks
        across = self.bounds[1:-1] - 1  # a pair that is the end of one text and the beginning of another is none
        at = np.searchsorted(pairs, across)
        at, across = at[at < len(pairs)], across[at < len(pairs)]
        pairs = np.delete(pairs, at[pairs[at] == across])
        apart = np.diff(pairs, prepend=-2) != 1
        if apart.all():
            return pairs
        place = np.arange(len(pairs))
        second = (place - np.maximum.accumulate(np.where(apart, place, 0))) % 2 == 1
        return np.delete(pairs, second)

    def pieces(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> pl.Series:
        """The texts from `starts` to `ends`, which are in order and apart, as a column that shares these bytes."""
        return self._between(np.stack([starts, ends], axis=1).ravel()).gather_every(2)

    def parted(self, at: NDArray[np.int64]) -> list[pl.Series]:
        """Each text in parts, one more than the places (n, k) within it at which it is cut: a column of first parts, of
        second ones, and so on, which share these bytes."""
        starts, parts = self.bounds[:-1, None], at.shape[1] + 1
        cuts = np.concatenate([starts, starts + at], axis=1).ravel()
        shared = self._between(np.append(cuts, self.bounds[-1]))
        return [shared.gather_every(parts, offset) for offset in range(parts)]

    def joined(self, starts: NDArray[np.int64], ends: NDArray[np.int64], bounds: NDArray[np.int64]) -> pl.Series:
        """The stretches from `starts` to `ends` put together: text i is those from bounds[i] up to bounds[i + 1]."""
        stretches = [self.data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        offsets = np.concatenate([[0], np.cumsum(ends - starts, dtype=np.int64)])[bounds]
        buffers = pa.py_buffer(offsets), pa.py_buffer(np.concatenate([self.data[:0], *stretches]))
        return taken_over(pa.LargeStringArray.from_buffers(len(bounds) - 1, *buffers))

    def _between(self, bounds: NDArray[np.int64]) -> pl.Series:
        """The texts between each of these places and the next."""
        if len(bounds) < 2:
            return pl.Series([], dtype=pl.String)
        buffers = pa.py_buffer(bounds), pa.py_buffer(self.data)
        return taken_over(pa.LargeStringArray.from_buffers(len(bounds) - 1, *buffers))


def _places(
    data: NDArray[np.uint8], test: Callable[[NDArray[np.uint8]], NDArray[np.bool_]], *, after: int = 0
) -> NDArray[np.int64]:
    """Where bytes pass a test that also looks at some bytes `after` each; block by block, so that a block and what the
    test makes of it stay in the core's own cache."""
    found = [np.flatnonzero(test(data[at : at + _BLOCK + after])) + at for at in range(0, len(data), _BLOCK)]
    return np.concatenate([np.empty(0, np.int64), *found])


def _are_high(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return data >= HIGH


def _are_breaks(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether a line break is followed by another, for all but the last byte."""
    breaks: NDArray[np.bool_] = data == _BREAK
    return breaks[:-1] & breaks[1:]


def _as_they_lie(texts: pl.Series) -> pa.LargeStringArray | None:
    """The texts as they lie in memory, where that is one after another in one piece, as a file's columns do; else None.

    A view of a text tells where it lies; that of a short one holds the text instead, which must stand there too.
    """
    array = texts.to_arrow(compat_level=pl.CompatLevel.newest())
    buffers = array.buffers()
    if len(buffers) != 3 or not len(array):  # validity, views, and one piece of text
        return None
    data = np.frombuffer(buffers[2], np.uint8)
    views = np.frombuffer(buffers[1], np.int32).reshape(-1, 4)[array.offset :][: len(array)]
    bounds = np.concatenate([[0], np.cumsum(views[:, 0], dtype=np.int64)])
    long = views[:, 0] > _INLINE
    if not long.any():
        return None
    bounds += views[long.argmax(), 3] - bounds[long.argmax()]
    if bounds[0] < 0 or bounds[-1] > len(data) or (views[long, 3] != bounds[:-1][long]).any():
        return None
    short, place = views[~long], bounds[:-1][~long]
    sign = np.arange(_INLINE)
    there = data[np.minimum(place[:, None] + sign, len(data) - 1)]
    held = np.ascontiguousarray(short[:, 1:]).view(np.uint8)
    if (there != held)[sign < short[:, :1]].any():
        return None
    return pa.LargeStringArray.from_buffers(len(array), pa.py_buffer(bounds), buffers[2])
