"""Loops: where a trace goes on saying what it has said, word for word or with a counter or a name changed (METHOD 8).

A run of 8 tokens that occurred earlier in the trace is not new. Where of the last 256 runs two thirds are not, the
trace is stuck; the looping share is the part of its tokens that are. So a loop is found whose steps differ in a name.
Where a quarter of all runs is not new, a second look leaves the numbers out, at runs of 16: so is one that only counts.
Exact repeats of paragraphs miss both. Cost: some 10 ns a token, a quarter of what counting them takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from select2reason.tokens import Encoded, Tokenizer

    Places = NDArray[np.int32]

WINDOW_TOKENS = 256
RUN_TOKENS, STUCK = 8, 0.65  # and the least part of a window that is not new
NUMBERLESS_RUN_TOKENS, NUMBERLESS_STUCK = 16, 0.9  # the same with numbers left out: case after case looks alike then
NEVER_LEFT = 0.7  # numberless share from which a loop counts although the trace leaves it: less may be an enumeration
SUSPECT = 0.25  # least part of a trace's runs that is not new, for a look without numbers
LOOPING = 0.25  # least looping share of a looping trace
# The numbers above on skyt1_math_traces (1,396 traces, 43% right): 24% looping, 3% of those right, 56% of the others;
# on limo_r1_distill_qwen32b none of 193. LOOPING = 0.2: 26%, 5%, 56%; STUCK = 0.7: 24%, 3%, 55%. Runs are of a power of
# two tokens, for their hashes are made by doubling.
_CHUNK_TOKENS = 1 << 18  # looked at together: what is looked up stays in the processor's cache
_MOST_TOKENS = 1 << 20  # of one text; the tables of a longer one would take some sixty bytes a token
_ROOM = 4  # slots a run, at least, of the table in which runs are looked up
_END_TOKENS = 2 * WINDOW_TOKENS  # where a loop that is never left is looked for
_SAMPLE = np.uint32(3)  # a quick look is at the runs whose hash has none of these bits: one in four
_QUICK_SUSPECT, _QUICK_STUCK = 0.3, 0.5  # as SUSPECT and STUCK there; it takes a few new runs for old ones
_QUICK_SHARE = 0.05  # least looping share there that calls for a whole look: below it a trace counts as without loops
_STRETCH, _FEWEST_DRAWN, _MOST_DRAWN = 128, 10, 64  # of 128 unlike runs 32 are drawn, more or less by 5
_FACTORS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1], np.uint32)


@dataclass(frozen=True, slots=True)
class Loops:
    """Of each trace the part of its tokens that are stuck, and the token at which it first is (-1: it never is)."""

    share: NDArray[np.float32]
    start: NDArray[np.int64]


def find_loops(encoded: Encoded, numbers: NDArray[np.bool_]) -> Loops:
    """The loops of each text, in order; numbers: as of `number_tokens`.

    A text of fewer than 263 tokens has none, and a looping share of less than some 5% is told as 0. Of a text of more
    than 2^20 tokens, beyond what any model writes, those are looked at.
    """
    rows = len(encoded.offsets) - 1
    loops = Loops(np.zeros(rows, np.float32), np.full(rows, -1, np.int64))
    for low, high in _chunks(encoded.offsets):
        start = encoded.offsets[low]
        offsets = np.minimum(encoded.offsets[low : high + 1] - start, _MOST_TOKENS)
        ids = encoded.ids[start : start + offsets[-1]]
        for row in np.flatnonzero(_suspect(ids, offsets)).tolist():
            one = slice(offsets[row], offsets[row + 1])
            share, stuck = _loop(ids[one], numbers)
            loops.share[low + row], loops.start[low + row] = share, stuck[0] if len(stuck) else -1
    return loops


def stuck_tokens(ids: NDArray[np.uint32], numbers: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of one text's tokens those at which it is stuck, for a reader to see where (n,); numbers: as of `number_tokens`.

    They are looked at one by one: a share so small that `find_loops` tells it as 0 is marked as well.
    """
    stuck = np.zeros(len(ids), np.bool_)
    stuck[_loop(ids[:_MOST_TOKENS], numbers)[1]] = True
    return stuck


def looping() -> pl.Expr:
    """Whether a trace is looping, by its column `loop_share`."""
    return pl.col("loop_share") > LOOPING


def number_tokens(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """For each token id up to the largest such whether it is a number, of up to three digits."""
    figures = [str(number) for number in range(1000)]
    encoded = tokenizer.encode(pl.Series([*figures, *(f" {one}" for one in figures), *(f"{n:02}" for n in range(100))]))
    alone = np.flatnonzero(np.diff(encoded.offsets) == 1)
    ids = encoded.ids[encoded.offsets[:-1][alone]]
    table = np.zeros(int(ids.max(initial=0)) + 2, np.bool_)
    table[ids] = True
    return table


def _chunks(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Rows from..to of some 2^18 tokens, at least one row each."""
    low, rows = 0, len(offsets) - 1
    while low < rows:
        high = max(low + 1, int(np.searchsorted(offsets, offsets[low] + _CHUNK_TOKENS, side="right")) - 1)
        yield low, high
        low = high


def _suspect(ids: NDArray[np.uint32], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The rows that may loop: one token in twenty stuck, or a good part of all runs not new, in a sample of the runs.

    The sample is drawn by hash, so a run is in it everywhere or nowhere.
    """
    hashes = _run_hashes(ids, RUN_TOKENS)
    drawn = np.flatnonzero(hashes & _SAMPLE == 0)
    bounds = np.searchsorted(drawn, offsets)
    counted = np.zeros(len(drawn) + 1, np.int32)
    np.cumsum(_said_before(hashes[drawn] >> np.uint32(2), bounds), out=counted[1:])
    window, sizes = WINDOW_TOKENS // (int(_SAMPLE) + 1), np.diff(bounds)
    ends = np.flatnonzero(counted[window:] - counted[:-window] >= _QUICK_STUCK * window) + window
    rows = np.searchsorted(bounds, ends, side="left") - 1  # a window over two rows does no harm
    stuck = np.bincount(rows, minlength=len(sizes)) >= _QUICK_SHARE * sizes
    many = np.diff(counted[bounds]) >= _QUICK_SUSPECT * sizes
    return (stuck | many | _uneven(drawn, offsets)) & (np.diff(offsets) >= WINDOW_TOKENS + RUN_TOKENS - 1)


def _uneven(drawn: NDArray[np.intp], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The rows of which some stretch is hardly drawn at all, or almost whole: a few runs must make it up, all of them
    out of the sample or in it. Of a loop of one token there is none in three cases of four."""
    stretches = int(offsets[-1]) // _STRETCH
    held = np.bincount(drawn // _STRETCH, minlength=stretches)[:stretches]
    odd = np.flatnonzero((held < _FEWEST_DRAWN) | (held > _MOST_DRAWN)) * _STRETCH
    first, last = (np.searchsorted(offsets, odd + at, side="right") - 1 for at in (0, _STRETCH - 1))
    rows = np.zeros(len(offsets) - 1, np.bool_)
    rows[first] = rows[last] = True
    return rows


def _loop(ids: NDArray[np.uint32], numbers: NDArray[np.bool_]) -> tuple[float, NDArray[np.intp]]:
    """Looping share of one text, and its tokens at which it is stuck, in order."""
    share, stuck, old = _look(ids, RUN_TOKENS, STUCK)
    if old < SUSPECT * len(ids):
        return share, stuck
    words = np.flatnonzero(~numbers.take(ids, mode="clip"))
    numberless, stuck_words, _ = _look(ids[words], NUMBERLESS_RUN_TOKENS, NUMBERLESS_STUCK)
    last = words[-_END_TOKENS:]
    _, stuck_last, _ = _look(ids[last], NUMBERLESS_RUN_TOKENS, NUMBERLESS_STUCK)
    to_the_end = len(stuck_last) > 0 and stuck_last[-1] == len(last) - NUMBERLESS_RUN_TOKENS
    left = numberless < NEVER_LEFT and not to_the_end
    return (share, stuck) if left or share >= numberless else (numberless, words[stuck_words])


def _look(ids: NDArray[np.uint32], run_tokens: int, least: float) -> tuple[float, NDArray[np.intp], int]:
    """The stuck share of one text, the tokens at which it is stuck, and how many of its runs are not new."""
    runs = len(ids) - run_tokens + 1
    if runs < WINDOW_TOKENS:
        return 0.0, np.empty(0, np.intp), 0
    hashes = _run_hashes(ids, run_tokens)[:runs]
    old = _seen(hashes, np.arange(runs, dtype=np.int32), np.empty(_room(runs), np.int32))
    counted = np.concatenate([[0], np.cumsum(old)])
    full = np.flatnonzero(counted[WINDOW_TOKENS:] - counted[:-WINDOW_TOKENS] >= least * WINDOW_TOKENS)
    return len(full) / len(ids), full + WINDOW_TOKENS - 1, int(counted[-1])


def _said_before(hashes: NDArray[np.uint32], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the hash at each place occurred earlier in its row, by a quick look: a few new ones are taken for old."""
    old = np.zeros(len(hashes), np.bool_)
    longest = max(int(np.diff(offsets).max(initial=0)), 1)
    table, places = np.empty(_room(longest), np.int32), np.arange(longest, dtype=np.int32)
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        if end > start:
            old[start:end] = _not_first(hashes[start:end], places, table)
    return old


def _run_hashes(ids: NDArray[np.uint32], run_tokens: int) -> NDArray[np.uint32]:
    """A hash of the run of tokens from each place on; the last ones run out of the array and mean nothing."""
    hashes: NDArray[np.uint32] = ids * _FACTORS[0]
    ahead = 1
    while ahead < run_tokens:
        mixed = hashes * _FACTORS[ahead.bit_length()]
        mixed[:-ahead] += hashes[ahead:]
        hashes, ahead = mixed ^ (mixed >> np.uint32(15)), 2 * ahead
    return hashes


def _not_first(hashes: NDArray[np.uint32], places: Places, table: Places) -> NDArray[np.bool_]:
    """Whether some earlier place has the lower bits of the hash at each place."""
    later: NDArray[np.bool_] = _first_places(hashes, places, table) != places[: len(hashes)][::-1]
    return later[::-1]


def _first_places(hashes: NDArray[np.uint32], places: Places, table: Places) -> Places:
    """The first place whose hash has the lower bits of the one at each place, from the last place to the first."""
    slots = (hashes[::-1] & np.uint32(_room(len(hashes)) - 1)).astype(np.intp)
    table[slots] = places[: len(hashes)][::-1]  # of equal indices the last one written stays: the first place
    return table.take(slots)


def _seen(hashes: NDArray[np.uint32], places: Places, table: Places) -> NDArray[np.bool_]:
    """Whether each hash occurred at an earlier place; hashes that differ from the first of their lower bits are looked
    up once more, by other bits.

    Runs are equal when 32 bits of hash are: among 10,000 runs one chance in 80 that any two unlike ones are taken for
    equal.
    """
    first = _first_places(hashes, places, table)[::-1]
    old: NDArray[np.bool_] = first != places[: len(hashes)]
    other = np.flatnonzero(hashes.take(first) != hashes)
    if len(other):
        mixed = (hashes[other] ^ (hashes[other] >> np.uint32(16))) * _FACTORS[3]  # one to one: equal as before
        old[other] = _seen(mixed, places, table)
    return old


def _room(hashes: int) -> int:
    """Slots of a table for so many: a power of two."""
    return 1 << (_ROOM * hashes - 1).bit_length()
