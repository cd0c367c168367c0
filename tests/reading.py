"""Pools for the tests of the reading side: opened the way a run opens them, and read back whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from select2reason.canonical import canonical
from select2reason.layouts import detect
from select2reason.opening import open_pool
from select2reason.pool import OWN, TEXT, Pool
from select2reason.readers import BadRow, RawBatch, read
from select2reason.settings import PoolSettings
from select2reason.sources import SourceFile, find_files

NARROW = ("category", "correct", "cut_off", "source", "source_row", "generation")


def pool_of(*names: Path | str, **settings: Any) -> Pool:
    """The canonical pool of these files, however many of its rows are bad."""
    given: dict[str, Any] = {"max_bad_fraction": 1.0, **settings}
    return open_pool(PoolSettings(pools=tuple(map(str, names)), **given)).pool


def content(pool: Pool) -> list[dict[str, Any]]:
    """Every example of a pool with all that is known of it; carried columns have their prefix."""
    text = [batch for shard in range(len(pool.shards)) for batch in pool.batches(TEXT, shard=shard)]
    narrow = pool.narrow([*NARROW, *(OWN + name for name in pool.own_columns())])
    return pl.concat([pl.concat(text), narrow], how="horizontal").to_dicts()


def texts(pool: Pool) -> list[tuple[str, str, str, str]]:
    """question, head, trace, tail of every example."""
    return [(row["question"], row["head"], row["trace"], row["tail"]) for row in content(pool)]


def response(row: Mapping[str, Any]) -> str:
    """The whole response of an example."""
    return str(row["head"] + row["trace"] + row["tail"])


def examples(rows: Sequence[Mapping[str, Any]], **how: Any) -> list[dict[str, Any]]:
    """Rows as canonical examples, straight through a layout, without any file."""
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return canonical(detect(frame, **how), frame).to_dicts()


def only(name: Path | str) -> SourceFile:
    """The one file that a name stands for."""
    (found,) = find_files(str(name))
    return found


def read_all(name: Path | str) -> tuple[list[RawBatch], list[BadRow]]:
    """Every batch of a file, and every row that could not be read."""
    bad: list[BadRow] = []
    return list(read(only(name), on_bad=bad.append)), bad


def added_up(pool: Pool) -> bool:
    """Whether rows read = rows with examples + bad rows, and the quarantine tells of every bad row."""
    seen = {(row["source"], row["source_row"]) for row in content(pool)} if pool.rows else set()
    aside = {(row["source_file"], row["source_row"]) for row in pool.quarantine()}
    aside -= {(pool.labels[source], row) for source, row in seen}
    rows, bad = sum(part.rows for part in pool.parts), sum(part.bad for part in pool.parts)
    return rows == len(seen) + bad and len(aside) == bad
