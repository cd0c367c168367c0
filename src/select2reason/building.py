"""Building a pool: every file read once, under its layout, into canonical shards (their shape is pool.py's)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from select2reason import readers
from select2reason.canonical import canonical
from select2reason.layouts import Layout
from select2reason.pool import FORMAT, TEXT, Pool, SourcePart, stacked
from select2reason.readers import BadRow, RawBatch
from select2reason.sources import SourceFile

Progress = Callable[[float], None]
_TEXT_SCHEMA = pa.schema([(name, pa.large_string()) for name in TEXT])
_SHARD_ROWS = 8_192
_SHARD_BYTES = 256 << 20
_GROUP_ROWS = 1_024
_GROUP_BYTES = 8 << 20  # of text in one row group, so that one batch never holds much more than that


def build(
    files: Sequence[SourceFile], layout_of: Mapping[str, Layout], out: Path, *, digest: str, progress: Progress
) -> Pool:
    """Read every file under its layout (`layout_of`, by label) into canonical shards at `out`, whole or not at all.

    Rows that cannot be used are set aside (`Pool.quarantine`); whether they are too many is for `refuse_too_bad`.
    """
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        with _Builder(part) as builder:
            for number, file in enumerate(files):
                builder.add(number, file, layout_of[file.label], partial(_part_done, progress, number, len(files)))
            builder.finish(digest)
        if not out.exists():
            part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Pool.open(out, [file.label for file in files])


def _part_done(progress: Progress, number: int, files: int, done: float) -> None:
    progress((number + done) / files)


def _write_group(writer: pq.ParquetWriter, group: Sequence[pl.DataFrame]) -> None:
    table = pl.concat(group, rechunk=False).to_arrow(compat_level=pl.CompatLevel.oldest())
    writer.write_table(table.cast(_TEXT_SCHEMA), row_group_size=_GROUP_ROWS)


class _Builder:
    """Fills shards one after another; keeps one row group of text and one shard of narrow columns in memory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.parts: list[SourcePart] = []
        self.shards: list[int] = []
        self.rows = 0
        self.text_bytes = 0
        self._quarantine = (root / "quarantine.jsonl").open("wb")
        self._writer: pq.ParquetWriter | None = None
        self._background = ThreadPoolExecutor(1)  # compresses one row group while the next is read
        self._written: Future[None] | None = None
        self._group: list[pl.DataFrame] = []
        self._narrow: list[pl.DataFrame] = []
        self._group_bytes = self._shard_bytes = 0
        self._unread = self._unusable = 0  # of the file being read: rows that no reader, no layout could use

    def __enter__(self) -> _Builder:
        return self

    def __exit__(self, *_: object) -> None:
        self._quarantine.close()
        self._background.shutdown()
        if self._writer:
            with suppress(OSError, pa.ArrowException):  # a disk that filled up has been reported already
                self._writer.close()

    def add(self, number: int, file: SourceFile, layout: Layout, progress: Progress) -> None:
        """Read one file to its end."""
        self._unread = self._unusable = rows = 0
        before = self.rows

        def unread(row: BadRow) -> None:
            self._unread += 1
            self._set_aside(row, number, file)

        columns = None if file.kind == "jsonl" else layout.needed(readers.column_names(file))
        for raw in readers.read(file, on_bad=unread, columns=columns):
            rows += len(raw.rows)
            self._append(self._usable(number, file, raw, layout))
            progress(raw.done)
        bad = self._unread + self._unusable
        self.parts.append(SourcePart(rows + self._unread, bad, self.rows - before, str(layout)))

    def _usable(self, number: int, file: SourceFile, raw: RawBatch, layout: Layout) -> pl.DataFrame:
        frame = canonical(layout, raw.frame)
        place = pl.Series(raw.rows[frame["position"].to_numpy()], dtype=pl.Int64)
        frame = frame.with_columns(source=pl.lit(number, pl.UInt32), source_row=place).drop("position")
        for row in frame.filter(pl.col("problem").is_not_null()).iter_rows(named=True):
            self._unusable += 1
            head = next((row[name] for name in ("question", "trace", "gold") if row[name]), "")
            self._set_aside(BadRow(row["source_row"], row["problem"], head[:200]), number, file)
        return frame.filter(pl.col("problem").is_null()).drop("problem")

    def _set_aside(self, row: BadRow, number: int, file: SourceFile) -> None:
        line = {"line": row.source_row + 1} if file.kind == "jsonl" else {}
        self._quarantine.write(orjson.dumps({"source": number, **asdict(row), **line}) + b"\n")

    def _append(self, frame: pl.DataFrame) -> None:
        """Cut so that no row group and no shard outgrows its bounds."""
        while frame.height:
            room = min(_GROUP_ROWS - sum(map(len, self._group)), _SHARD_ROWS - sum(map(len, self._narrow)))
            now, frame = frame.head(room), frame.slice(room)
            sizes = now.select(text_bytes=pl.sum_horizontal(pl.col(TEXT).str.len_bytes().fill_null(0)))["text_bytes"]
            self._group.append(now.select(TEXT))
            self._narrow.append(now.drop(TEXT).with_columns(sizes))
            self._group_bytes += int(sizes.sum())
            self._shard_bytes += int(sizes.sum())
            self.text_bytes += int(sizes.sum())
            self.rows += now.height
            if sum(map(len, self._group)) >= _GROUP_ROWS or self._group_bytes >= _GROUP_BYTES:
                self._flush_group()
            if sum(map(len, self._narrow)) >= _SHARD_ROWS or self._shard_bytes >= _SHARD_BYTES:
                self._flush_shard()

    def _flush_group(self) -> None:
        if not self._group:
            return
        if self._writer is None:
            path = self.root / f"text-{len(self.shards):05}.parquet"
            self._writer = pq.ParquetWriter(
                path,
                _TEXT_SCHEMA,
                compression="zstd",
                compression_level=1,
                use_dictionary=False,
                write_statistics=False,
            )
        self._wait()
        self._written = self._background.submit(_write_group, self._writer, self._group)
        self._group, self._group_bytes = [], 0

    def _wait(self) -> None:
        """Until the row group under way is written; raises what its writing raised."""
        if self._written:
            written, self._written = self._written, None
            written.result()

    def _flush_shard(self) -> None:
        self._flush_group()
        if self._writer is None:
            return
        self._wait()
        self._writer.close()
        self._writer = None
        narrow = stacked(self._narrow)
        narrow.write_parquet(self.root / f"rows-{len(self.shards):05}.parquet")
        self.shards.append(narrow.height)
        self._narrow, self._shard_bytes = [], 0

    def finish(self, digest: str) -> None:
        """Close the last shard, then write the manifest, which makes the pool whole."""
        self._flush_shard()
        held = {
            "format": FORMAT,
            "rows": self.rows,
            "digest": digest,
            "shards": self.shards,
            "text_bytes": self.text_bytes,
            "parts": [asdict(part) for part in self.parts],
        }
        (self.root / "pool.json").write_bytes(orjson.dumps(held, option=orjson.OPT_INDENT_2))
