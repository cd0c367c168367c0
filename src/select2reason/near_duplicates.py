"""Questions of a pool that are the same or nearly the same: a sketch of each, then groups over the whole pool.

The same: equal but for typesetting, white space and capitals. Nearly the same (METHOD 9.11): the very same numbers and
signs of operation, no two different gold answers, and grams of which most are common, as MinHash estimates it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason import wording

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BANDS, _BAND = 8, 3  # questions that agree in one band of three minima are compared
_MINIMA = _BANDS * _BAND
_ALIKE = 17 / _MINIMA  # least share of equal minima; its expectation is the Jaccard similarity of the grams
_PAIRS = 1 << 16  # compared at once
_LEAST_GRAMS = 8  # of a question that may be nearly the same as another; in a shorter one every word counts
_FACTORS, _SHIFTS = np.random.default_rng(20_250_517).integers(1, 2**63, (2, _MINIMA), dtype=np.uint64)

OUTPUTS: dict[str, type[pl.DataType] | pl.DataType] = {
    "question_key": pl.UInt64,
    "signs_key": pl.UInt64,
    "gold_key": pl.UInt64,
    "sketch": pl.Array(pl.UInt32, _MINIMA),
}


def sketches(asked: pl.Series, golds: pl.Series, found: wording.Words, grams: wording.Grams) -> pl.DataFrame:
    """Keys and sketch of each question (`asked`: as `wording.asked` gives it), given its words and grams; columns as in
    OUTPUTS. `gold_key` is null without a gold answer, `sketch` where the question is too short to be nearly the same as
    another."""
    long = grams.sizes >= _LEAST_GRAMS
    minima = np.zeros((len(asked), _MINIMA), np.uint32)
    if long.any():
        kept = long[grams.rows]
        hashes = grams.hashes[kept]
        starts = np.concatenate([[0], np.cumsum(grams.sizes[long])[:-1]])
        for place, (factor, shift) in enumerate(zip(_FACTORS, _SHIFTS, strict=True)):
            mixed = (hashes * (factor | np.uint64(1)) + shift) >> np.uint64(32)
            minima[long, place] = np.minimum.reduceat(mixed, starts)
    gold = golds.str.to_lowercase().str.replace_all(r"[\s$]+", "")
    return pl.DataFrame(
        {
            "question_key": wording.plain(asked).hash(seed=0),
            "signs_key": _signs(found),
            "gold_key": pl.DataFrame({"g": gold}).select(pl.when(pl.col("g") != "").then(pl.col("g").hash(seed=0)))[
                "g"
            ],
            "sketch": pl.DataFrame({"s": minima}, schema={"s": OUTPUTS["sketch"]}).select(
                pl.when(pl.Series(long)).then("s")
            )["s"],
        }
    )


def _signs(found: wording.Words) -> pl.Series:
    """One number for all the numbers and operators of a question, whatever their order."""
    mixed = found.hashes * np.uint64(0xD6E8FEB86659FD93)
    counted = found.is_number | found.is_operator
    values = np.where(counted, mixed ^ (mixed >> np.uint64(32)), np.uint64(0))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values)])[found.starts]  # wraps, and so do differences
    return pl.Series(np.diff(sums))


def question_groups(sketched: pl.DataFrame) -> pl.Series:
    """The group of each row (UInt32, from 0 in the order in which they first occur), by the columns of OUTPUTS."""
    _, first, code = np.unique(sketched["question_key"].to_numpy(), return_index=True, return_inverse=True)
    return _first_seen(_joined(sketched, first, code)[code])


def _joined(sketched: pl.DataFrame, distinct: NDArray[np.int64], code: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each distinct question, which stands at one of these rows, the one it goes with; itself where there is none.
    `code` is each row's distinct question.

    Two questions go together unless that would put two different gold answers into one group; pairs of equal ones
    first.
    """
    parent = np.arange(len(distinct))
    golds, torn = _golds(sketched["gold_key"], code, len(distinct))
    pairs = _pairs(sketched, distinct, golds, torn)
    places = np.unique(pairs)  # few of all: the others stay alone
    gold: dict[int, int | None] = {place: int(golds[place]) or None for place in places.tolist()}
    for a, b in sorted(pairs.tolist(), key=lambda pair: gold[pair[0]] is None or gold[pair[0]] != gold[pair[1]]):
        low, high = sorted((_root(parent, a), _root(parent, b)))
        if gold[low] is None or gold[high] is None or gold[low] == gold[high]:
            parent[high] = low
            gold[low] = gold[high] if gold[low] is None else gold[low]
    parent[places] = [_root(parent, place) for place in places.tolist()]
    return parent


def _root(parent: NDArray[np.int64], place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = int(parent[place])
    return place


def _golds(keys: pl.Series, code: NDArray[np.int64], questions: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The gold answer of each distinct question, that of its first row which has one (0: none has), and whether another
    of its rows has another one."""
    key = keys.fill_null(0).to_numpy()
    known = np.flatnonzero(key)[::-1]
    gold, torn = np.zeros(questions, np.uint64), np.zeros(questions, np.bool_)
    gold[code[known]] = key[known]  # the last that is written stays: the first of them
    torn[code[known[key[known] != gold[code[known]]]]] = True
    return gold, torn


def _pairs(
    sketched: pl.DataFrame, distinct: NDArray[np.int64], golds: NDArray[np.uint64], torn: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Pairs of distinct questions, by their places in `distinct`, that are nearly the same: (n, 2); none of those whose
    own rows differ in their gold answer."""
    able = np.flatnonzero(sketched["sketch"].is_not_null().to_numpy()[distinct] & ~torn)
    rows, minima = distinct[able], _minima(sketched["sketch"])
    signs = sketched["signs_key"].to_numpy()[rows]
    gold = golds[able]
    found = [np.empty((0, 2), np.int64)]
    for band in range(_BANDS):
        key = signs.copy()
        for place in range(band * _BAND, (band + 1) * _BAND):
            key = key * np.uint64(0x9E3779B97F4A7C15) + minima[rows, place]
        order = np.lexsort((gold, key))  # equal gold answers side by side
        same = np.flatnonzero(key[order][1:] == key[order][:-1])
        found.append(np.stack([order[same], order[same + 1]], axis=1))
    pairs = np.unique(np.concatenate(found), axis=0)
    blocks = [pairs[at : at + _PAIRS] for at in range(0, len(pairs), _PAIRS)]
    alike = [(minima[rows[some[:, 0]]] == minima[rows[some[:, 1]]]).mean(axis=1) >= _ALIKE for some in blocks]
    nearly: NDArray[np.int64] = able[pairs[np.concatenate([np.empty(0, np.bool_), *alike])]]
    return nearly


def _minima(sketches: pl.Series) -> NDArray[np.uint32]:
    """The minima of each sketch (n, _MINIMA), any numbers where there is none, as they lie in memory: Polars takes 1 KB
    a row to choose sketches."""
    array = sketches.to_arrow()
    data = np.frombuffer(array.values.buffers()[1] or b"", np.uint32)[array.values.offset :]
    minima: NDArray[np.uint32] = data[: len(array.values)].reshape(-1, _MINIMA)[array.offset :][: len(array)]
    return minima


def _first_seen(codes: NDArray[np.int64]) -> pl.Series:
    """Codes as numbers from 0 in the order in which they first occur."""
    _, first, code = np.unique(codes, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.uint32)
    number[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.uint32)
    return pl.Series(number[code], dtype=pl.UInt32)
