"""Questions against the prints of benchmarks, a batch at a time: which problem each is, and how much of it is there.

The same problem: enough of its grams are in the question and enough of the question's are in it, and the numbers are
the same. The same with other numbers: likewise with every number masked, where its own numbers are not all there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason import wording
from select2reason.contamination.prints import Prints, short

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME, OTHER_NUMBERS = "same problem", "other numbers"
_COMMON = 20  # a gram of more problems than this is a phrase of its trade, and says nothing of any
_HITS = 3  # of one question, the closest first
_OVERLAP, _OF_QUESTION = 0.4, 0.3  # least parts of the problem's and of the question's grams
_MASKED_OVERLAP, _MASKED_OF_QUESTION = 0.6, 0.5
_FEW = 6  # fewer common grams than this say little, unless they are nearly all of a short problem
_NEARLY_ALL = 0.8
_BY_NUMBERS, _TELLING_NUMBERS = 0.25, 3  # least part of both, where the two have the very same numbers, and so many
_WHOLE, _WHOLE_GRAMS = 0.9, 8  # so much of a problem is a hit however long the text around it
_NUMBERS = 0.99  # least part of the problem's numbers that the question has ...
_ANY_WAY = 0.98  # ... unless this much of it, numbers included, is there word for word

_SEEN_BITS = 21
_SEEN_MASK = np.uint32((1 << _SEEN_BITS) - 1)

HIT = pl.Struct(
    {
        "problem": pl.UInt32,  # row of the prints
        "kind": pl.String,
        "overlap": pl.Float32,  # part of the problem's grams that the question has
        "of_question": pl.Float32,  # part of the question's grams that the problem has
        "numbers": pl.Float32,  # part of the problem's numbers that the question has; null where it has none
    }
)
Hits = pl.Series


def find_hits(questions: pl.Series, prints: Prints) -> Hits:
    """For each question its hits: lists of HIT, at most three, the closest first."""
    index, hits = Index(prints), [pl.Series([], dtype=pl.List(HIT))]
    for start in range(0, len(questions), wording.AT_ONCE):
        found = wording.words(wording.asked(questions[start : start + wording.AT_ONCE]))
        hits.append(index.hits(found, wording.grams(found)))
    return pl.concat(hits)


def evidence(hits: Hits, prints: Prints) -> pl.DataFrame:
    """One row a hit: `row` of the pool, `kind`, `benchmark`, `problem` (its place in its benchmark, from 0), `overlap`,
    `of_question`, `numbers`; by row, the closest first."""
    listed = pl.DataFrame({"row": pl.int_range(len(hits), dtype=pl.UInt32, eager=True), "hit": hits})
    found = listed.explode("hit", empty_as_null=False, keep_nulls=False).unnest("hit").rename({"problem": "at"})
    names = prints.problems.select("benchmark", "problem").with_row_index("at")
    named = found.join(names, on="at", how="left", maintain_order="left")
    return named.select("row", "kind", "benchmark", "problem", "overlap", "of_question", "numbers")


def closest(found: pl.DataFrame) -> pl.DataFrame:
    """Of `evidence` each row's closest hit, by row."""
    return found.unique("row", keep="first", maintain_order=True)


class Index:
    """Prints by gram, made once for many batches of questions."""

    def __init__(self, prints: Prints) -> None:
        numbered = prints.problems.with_row_index("problem_row")
        self._plain, self._masked = (_Table.of(numbered, name) for name in ("grams", "masked"))
        self._numbers = _exploded(numbered, "numbers").group_by("problem", "hash").len("wanted")

    def hits(self, found: wording.Words, grams: wording.Grams) -> Hits:
        """As `find_hits`, of the words and grams of questions."""
        rows = pl.DataFrame({"row": pl.int_range(len(found.starts) - 1, dtype=pl.Int64, eager=True)})
        plain = _compared(self._plain, grams, least=_BY_NUMBERS).with_columns(masked=pl.lit(False))
        masked = _compared(self._masked, wording.grams(found, masked=True), least=_MASKED_OVERLAP)
        compared = pl.concat([plain, masked.with_columns(masked=pl.lit(True))])
        if compared.is_empty():
            return pl.Series("hits", [[]], dtype=pl.List(HIT)).new_from_index(0, rows.height)
        told = self._with_numbers(compared, found)
        told = told.with_columns(is_hit=pl.when("masked").then(_is_other()).otherwise(_is_same())).filter("is_hit")
        told = told.filter(~pl.col("masked") | pl.col("masked").all().over("row"))  # the same problem says enough
        told = told.with_columns(kind=pl.when("masked").then(pl.lit(OTHER_NUMBERS)).otherwise(pl.lit(SAME)))
        lists = (
            told.sort("row", -pl.col("overlap"), -pl.col("of_question"), "problem")
            .group_by("row", maintain_order=True)
            .agg(hits=pl.struct(pl.col(field.name).cast(field.dtype) for field in HIT.fields).head(_HITS))
        )
        hits = rows.join(lists, on="row", how="left", maintain_order="left")["hits"]
        return hits.cast(pl.List(HIT)).fill_null([])

    def _with_numbers(self, compared: pl.DataFrame, found: wording.Words) -> pl.DataFrame:
        """Adds `numbers`, the part of each problem's numbers that its question has (null where it has none), and
        `by_numbers`: whether the two have the very same numbers, and enough of them to tell."""
        numbers = pl.DataFrame({"row": found.rows[found.is_number], "hash": short(found.hashes[found.is_number])})
        numbers = numbers.filter(pl.col("row").is_in(compared["row"].unique().implode()))
        held = numbers.group_by("row", "hash").len("held")
        pairs = compared.select("row", "problem").unique().join(self._numbers, on="problem")
        pairs = pairs.join(held, on=["row", "hash"], how="left")
        there = pairs.group_by("row", "problem").agg(
            pl.col("wanted").sum(), both=pl.min_horizontal("wanted", pl.col("held").fill_null(0)).sum()
        )
        told = compared.join(there, on=["row", "problem"], how="left").join(
            numbers.group_by("row").len("held"), on="row", how="left"
        )
        alike = (pl.col("both") == pl.col("wanted")) & (pl.col("held") == pl.col("wanted"))
        return told.with_columns(
            numbers=pl.col("both") / pl.col("wanted"),
            by_numbers=(alike & (pl.col("wanted") >= _TELLING_NUMBERS)).fill_null(False),
        ).drop("both", "wanted", "held")


@dataclass(frozen=True, slots=True)
class _Table:
    """Which problems have which gram (`grams`: hash, problem) and how many each problem has (`sizes`). `seen` says of
    the lower bits of a hash whether any gram has them: nearly all that a pool asks is told by it to be new."""

    grams: pl.DataFrame
    sizes: pl.Series
    seen: NDArray[np.bool_]

    @classmethod
    def of(cls, numbered: pl.DataFrame, name: str) -> _Table:
        grams = _exploded(numbered, name)
        problems = numbered.select(problem="problem_row", text=pl.col(name).hash())  # a copy is not one more
        counted = grams.join(problems, on="problem").select(pl.col("text").n_unique().over("hash")).to_series()
        grams = grams.filter(counted <= _COMMON)
        sizes = grams.group_by("problem").len("size")
        sizes = numbered.select(problem="problem_row").join(sizes, on="problem", how="left", maintain_order="left")
        seen = np.zeros(1 << _SEEN_BITS, np.bool_)
        seen[grams["hash"].to_numpy() & _SEEN_MASK] = True
        return cls(grams, sizes["size"].fill_null(0), seen)

    def known(self, grams: wording.Grams) -> pl.DataFrame:
        """Of each question (`row`) the grams (`hash`) that some problem may have."""
        hashes = short(grams.hashes)
        kept = self.seen[hashes & _SEEN_MASK]
        return pl.DataFrame({"row": grams.rows[kept], "hash": hashes[kept]})


def _exploded(numbered: pl.DataFrame, name: str) -> pl.DataFrame:
    lists = numbered.select(problem="problem_row", hash=name)
    return lists.explode("hash", empty_as_null=False, keep_nulls=False)


def _compared(table: _Table, grams: wording.Grams, *, least: float) -> pl.DataFrame:
    """Each question with each problem of whose grams it has the part `least`: `common`, `overlap`, `of_question`."""
    pairs = table.known(grams).join(table.grams, on="hash").group_by("row", "problem").len("common")
    pairs = pairs.with_columns(overlap=pl.col("common") / pl.lit(table.sizes[pairs["problem"]]))
    pairs = pairs.filter(pl.col("overlap") >= least)
    return pairs.with_columns(of_question=pl.col("common") / pl.lit(pl.Series(grams.sizes)[pairs["row"]]))


def _is_same() -> pl.Expr:
    overlap, of_question, common = pl.col("overlap"), pl.col("of_question"), pl.col("common")
    enough = (overlap >= _OVERLAP) & (of_question >= _OF_QUESTION) & ((common >= _FEW) | (overlap >= _NEARLY_ALL))
    whole = (overlap >= _WHOLE) & (common >= _WHOLE_GRAMS)
    numbers = pl.col("numbers").fill_null(1.0) >= _NUMBERS
    by_numbers = pl.col("by_numbers") & (pl.min_horizontal(overlap, of_question) >= _BY_NUMBERS)
    return ((enough | whole) & (numbers | (overlap >= _ANY_WAY))) | by_numbers


def _is_other() -> pl.Expr:
    overlap, of_question, common = pl.col("overlap"), pl.col("of_question"), pl.col("common")
    alike = (overlap >= _MASKED_OVERLAP) & (of_question >= _MASKED_OF_QUESTION)
    telling = (common >= _FEW) | ((overlap == 1) & (of_question == 1))
    return alike & telling & (pl.col("numbers") < _NUMBERS)
