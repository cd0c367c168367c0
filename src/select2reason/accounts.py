"""Whether the counts of a run add up, looked at before its folder is put in place: every row that was read is in the
scores or in the quarantine, every row of the scores is selected or has a reason, and the files hold what is counted.

It counts anew, from what stands on disk: not whether a row's reason is the right one, only that no row is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from select2reason.errors import RunError
from select2reason.pool import Pool


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
            f"{pool.root / 'pool.json'}, and run it again after: select2reason cache --clear"
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
    `aside`: source and row of all that was set aside."""
    found = pool.narrow(["source", "source_row"]).cast(pl.Int64)
    places = found.unique()
    whole = aside.unique().join(places, on=["source", "source_row"], how="anti")
    made, used, left = (dict(frame["source"].value_counts().iter_rows()) for frame in (found, places, whole))
    for source, (part, label) in enumerate(zip(pool.parts, pool.labels, strict=True)):
        kept, lost = used.get(source, 0), left.get(source, 0)
        if kept + lost != part.rows or lost != part.bad:
            yield f"{label}: {part.rows:,} rows read, {kept:,} with an example, {lost:,} of {part.bad:,} set aside"
        if made.get(source, 0) != part.examples:
            yield f"{label}: {part.examples:,} examples made, {made.get(source, 0):,} kept"
