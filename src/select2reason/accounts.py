"""Whether the counts of a run add up, looked at before its folder is put in place: every row that was read is in the
scores or in the quarantine, every row of the scores is selected or has a reason, and the files hold what is counted.

It counts anew, from what stands on disk: not whether a row's reason is the right one, only that no row is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from select2reason import cache
from select2reason.errors import RunError
from select2reason.pool import Pool

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROW_BITS = 42  # of a place in its source: as many rows as no file has


def check_accounts(folder: Path, pool: Pool, counts: Mapping[str, int]) -> None:
    """Raise RunError, naming the file to report, where a selection that is about to be published has lost or made up a
    row: `folder` holds its files, `counts` the rows of each reason, `selected` among them."""
    aside = pl.DataFrame(
        [(row["source"], row["source_row"]) for row in pool.set_aside()],
        schema={"source": pl.Int64, "source_row": pl.Int64},
        orient="row",
    )
    wrong = next((told for told in (*_unlike(folder, pool, counts, aside.height), *_lost(pool, aside))), None)
    if wrong:
        raise RunError(
            f"internal error: the rows do not add up ({wrong}), so nothing was written; please report it with the file "
            f"{pool.root / 'pool.json'}, and run it again after: {cache.clearing(pool.root)}"
        )


def _unlike(folder: Path, pool: Pool, counts: Mapping[str, int], set_aside: int) -> Iterator[str]:
    """The counts against one another, and against the files."""
    chosen = sum(_rows(file) for file in folder.glob("data/*.parquet"))
    with (folder / "quarantine.jsonl").open("rb") as lines:
        told = sum(1 for _ in lines)
    compared = {
        "rows in scores.parquet, and in the pool": (_rows(folder / "scores.parquet"), pool.rows),
        "rows with a reason, and in the pool": (sum(counts.values()), pool.rows),
        "rows in data, and selected": (chosen, counts.get("selected", 0)),
        "lines in quarantine.jsonl, and set aside": (told, set_aside),
    }
    yield from (f"{what}: {one:,} and {other:,}" for what, (one, other) in compared.items() if one != other)


def _rows(file: Path) -> int:
    return int(pq.read_metadata(file).num_rows)


def _lost(pool: Pool, aside: pl.DataFrame) -> Iterator[str]:
    """Of each source: rows read = rows with an example + rows that were set aside whole, and its examples are there.
    `aside`: source and row of all that was set aside. Examples lie in the order of their sources' rows."""
    sources = len(pool.parts)
    places = _places(pool.narrow(["source", "source_row"]))
    made = np.bincount(places >> _ROW_BITS, minlength=sources)
    first = np.flatnonzero(np.diff(places, prepend=-1))
    used = np.bincount(places[first] >> _ROW_BITS, minlength=sources)
    known = np.unique(_places(aside))
    at = np.searchsorted(places, known)
    whole = known[places.take(at, mode="clip") != known] if len(places) else known
    left = np.bincount(whole >> _ROW_BITS, minlength=sources)
    for part, label, examples, kept, lost in zip(pool.parts, pool.labels, made, used, left, strict=True):
        if kept + lost != part.rows or lost != part.bad:
            yield f"{label}: {part.rows:,} rows read, {kept:,} with an example, {lost:,} of {part.bad:,} set aside"
        if examples != part.examples:
            yield f"{label}: {part.examples:,} examples made, {examples:,} kept"


def _places(rows: pl.DataFrame) -> NDArray[np.int64]:
    """Source and row as one number each, which goes up as they do."""
    source, row = (rows[name].cast(pl.Int64).to_numpy() for name in ("source", "source_row"))
    placed: NDArray[np.int64] = (source << _ROW_BITS) | row
    return placed
