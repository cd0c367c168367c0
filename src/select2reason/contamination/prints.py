"""What is kept of a benchmark's problem: hashes of its grams, with numbers and with numbers masked, and of its numbers.

32 bits a gram, sorted, so neither the words nor their order can be read from them. In 12 million grams of 200,000
questions some 500 meet one of the 200,000 grams here by chance; a hit takes several of one problem.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason import wording

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUNDLED = "benchmarks.parquet"
SCHEMA: dict[str, pl.DataType] = {
    "benchmark": pl.String(),
    "problem": pl.UInt32(),
    "grams": pl.List(pl.UInt32),
    "masked": pl.List(pl.UInt32),
    "numbers": pl.List(pl.UInt32),
}


@dataclass(frozen=True, slots=True, eq=False)
class Prints:
    """Problems of benchmarks as hashes: a frame of SCHEMA, one row a problem (`problem`: its place in its benchmark,
    from 0), and the digest that names them all."""

    problems: pl.DataFrame
    digest: str


def make_prints(benchmarks: Mapping[str, Sequence[str | None]]) -> Prints:
    """Prints of the questions of each benchmark, by its name; a question without any word has no hashes."""
    frames = [pl.DataFrame(schema=SCHEMA)]
    for name, texts in benchmarks.items():
        questions = pl.Series(texts, dtype=pl.String)
        for start in range(0, len(questions), wording.AT_ONCE):
            found = wording.words(wording.asked(questions[start : start + wording.AT_ONCE]))
            places = range(start, start + len(found.starts) - 1)
            frames.append(
                pl.DataFrame(
                    {
                        "benchmark": pl.repeat(name, len(places), eager=True),
                        "problem": pl.Series(places, dtype=pl.UInt32),
                        "grams": _lists(wording.grams(found)),
                        "masked": _lists(wording.grams(found, masked=True)),
                        "numbers": _numbers(found),
                    },
                    schema=SCHEMA,
                )
            )
    return _named(pl.concat(frames))


@cache
def load_prints() -> Prints:
    """The prints that come with the program."""
    with files("select2reason.contamination").joinpath(BUNDLED).open("rb") as file:
        return _named(pl.read_parquet(file.read()))


def joined(first: Prints, second: Prints) -> Prints:
    """Both; a benchmark of the second whose name is in the first is called NAME (own)."""
    names = first.problems["benchmark"].unique().to_list()
    own = pl.when(pl.col("benchmark").is_in(names)).then(pl.col("benchmark") + " (own)").otherwise("benchmark")
    return _named(pl.concat([first.problems, second.problems.with_columns(benchmark=own)]))


def write_prints(prints: Prints, path: Path) -> None:
    """As the file that `load_prints` reads."""
    prints.problems.write_parquet(path, compression="zstd", compression_level=19)


def _named(problems: pl.DataFrame) -> Prints:
    digest = hashlib.sha256("\n".join(problems["benchmark"]).encode())
    for name in ("grams", "masked", "numbers"):
        lists = problems[name]
        digest.update(lists.list.len().to_numpy().astype(np.int64).tobytes())
        digest.update(lists.explode(empty_as_null=False, keep_nulls=False).to_numpy().astype(np.uint32).tobytes())
    return Prints(problems, digest.hexdigest()[:16])


def _lists(grams: wording.Grams) -> pl.Series:
    return _split(short(grams.hashes), grams.rows, len(grams.sizes))


def _numbers(found: wording.Words) -> pl.Series:
    """Sorted, so that their order is lost; one that occurs twice is there twice."""
    return _split(short(found.hashes[found.is_number]), found.rows[found.is_number], len(found.starts) - 1)


def short(hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """The bits of a hash that prints keep."""
    return hashes.astype(np.uint32)


def _split(values: NDArray[np.uint32], rows: NDArray[np.int64], height: int) -> pl.Series:
    """Values as one list a row, sorted; a row without any has an empty list."""
    held = pl.DataFrame({"row": rows, "value": values}, schema={"row": pl.Int64, "value": pl.UInt32})
    lists = held.group_by("row").agg(pl.col("value").sort())
    places = pl.DataFrame({"row": pl.int_range(height, dtype=pl.Int64, eager=True)})
    return places.join(lists, on="row", how="left", maintain_order="left")["value"].fill_null([])
