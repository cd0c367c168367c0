"""Building a pool: every file read once, under its layout, into canonical shards (their shape is pool.py's).

Reading, compressing and whatever watches the text pass by work at the same time, each on a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
import orjson
import polars as pl
import polars.selectors as cs
import pyarrow as pa

from select2reason import memory, readers
from select2reason.canonical import canonical
from select2reason.frames import FEWEST_ROWS, frame_of, joined, repeated, stacked, without
from select2reason.layouts import Layout
from select2reason.parts import part_folder
from select2reason.pool import FORMAT, TEXT, Pool, SourcePart
from select2reason.readers import HEAD_CHARS, BadRow
from select2reason.sources import SourceFile
from select2reason.text_shards import TextWriter, end_to_end, text_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

Progress = Callable[[float], None]
_SHARD_ROWS = 8_192
_SHARD_BYTES = 256 << 20
_BATCH_ROWS = 1_024
_LARGE_BYTES = 1 << 30  # of source files: from there on disk is dearer than the time that LZ4 takes
_BATCH_BYTES = 12 << 20  # of text, and two rows more


class Watcher(Protocol):
    """Works on the text while it is in memory, so that the pool need not be read once more."""

    def add(self, batch: pl.DataFrame) -> None:
        """The next rows of the pool (columns `pool.TEXT`), in order, a batch as it is written."""
        ...

    def finish(self, root: Path, shard: int) -> None:
        """The rows since the last call are this shard of the pool that is being built at `root`."""
        ...

    def drain(self) -> None:
        """There are no more rows; returns when all work on them is done."""
        ...


def build(
    files: Sequence[SourceFile],
    layout_of: Mapping[str, Layout],
    out: Path,
    *,
    digest: str,
    progress: Progress,
    watchers: Sequence[Watcher] = (),
    meanwhile: Callable[[], None] = lambda: None,
    check: Callable[[], None] = lambda: None,
) -> Pool:
    """Read every file under its layout (`layout_of`, by label) into canonical shards at `out`, whole or not at all.

    What the watchers leave in the pool's folder is part of it; while they are at the last rows, `meanwhile` is called.
    Rows that cannot be used are set aside (`Pool.quarantine`); whether they are too many is for `refuse_too_bad`.
    `check` may refuse all that was read.
    """
    with part_folder(out) as part:
        large = sum(file.path.stat().st_size for file in files) >= _LARGE_BYTES
        with _Builder(part, watchers, packed=large) as builder:
            for number, file in enumerate(files):
                builder.add(number, file, layout_of[file.label], partial(_part_done, progress, number, len(files)))
            builder.finish(digest, meanwhile)
        check()
        with suppress(OSError):  # another run may have put the same pool there by now
            part.rename(out)
    return Pool.open(out, [file.label for file in files])


def _part_done(progress: Progress, number: int, files: int, done: float) -> None:
    progress((number + done) / files)


class _Builder:
    """Fills shards one after another; keeps one shard of narrow columns in memory, and of text one batch beside
    those that are written and watched."""

    def __init__(self, root: Path, watchers: Sequence[Watcher], *, packed: bool) -> None:
        self.root = root
        self._packed = packed
        self.watchers = watchers
        self.parts: list[SourcePart] = []
        self.shards: list[int] = []
        self.rows = 0
        self.text_bytes = 0
        self._quarantine = (root / "quarantine.jsonl").open("wb")
        self._writer: TextWriter | None = None
        self._background = ThreadPoolExecutor(1)  # writes one batch while the next is read
        self._written: Future[None] | None = None
        self._batch: list[pl.DataFrame] = []
        self._narrow: list[pl.DataFrame] = []
        self._batch_rows = self._batch_bytes = self._shard_rows = self._shard_bytes = 0

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
        aside = _Aside(self._quarantine, number, has_lines=readers.has_lines(file))
        columns = None if file.kind == "jsonl" else layout.needed(readers.column_names(file))
        rows = unusable = 0
        before = self.rows
        for raw in readers.read(file, on_bad=aside.unread, columns=columns):
            usable = _usable(canonical(layout, raw.frame), raw.rows, aside)
            rows += len(raw.rows)
            unusable += len(raw.rows) - usable["source_row"].n_unique()
            self._append(usable.hstack([repeated("source", number, pl.UInt32, usable.height)]))
            progress(raw.done)
        progress(1.0)
        bad = unusable + aside.unread_rows
        self.parts.append(SourcePart(rows + aside.unread_rows, bad, self.rows - before, str(layout)))

    def _append(self, frame: pl.DataFrame) -> None:
        """Cut so that no batch and no shard outgrows its bounds by more than two rows."""
        sizes = _text_bytes(frame[[*TEXT]])
        narrow = [name for name in frame.columns if name not in TEXT]
        beside = _carried_bytes(frame[narrow])
        frame = frame.hstack([sizes.alias("text_bytes")])
        left = np.stack([sizes.to_numpy(), sizes.to_numpy() + beside])
        while frame.height:
            now, frame = frame.head(room := self._room(left)), frame.slice(room)
            (text_bytes, all_bytes), left = left[:, :room].sum(axis=1).tolist(), left[:, room:]
            self._batch.append(now[[*TEXT]])
            self._narrow.append(now[[*narrow, "text_bytes"]])
            self._batch_rows += now.height
            self._batch_bytes += text_bytes
            self._shard_rows += now.height
            self._shard_bytes += all_bytes
            self.text_bytes += text_bytes
            self.rows += now.height
            if self._batch_rows >= _BATCH_ROWS or (
                self._batch_bytes >= _BATCH_BYTES and self._batch_rows >= FEWEST_ROWS
            ):
                self._flush_batch()
            if self._shard_rows >= _SHARD_ROWS or self._shard_bytes >= _SHARD_BYTES:
                self._flush_shard()

    def _room(self, sizes: NDArray[np.int64]) -> int:
        """How many rows of these sizes (2, n), in the batch and in the shard, the open ones still take: up to the one
        that fills them, and no row alone."""
        rows = min(_BATCH_ROWS - self._batch_rows, _SHARD_ROWS - self._shard_rows)
        left = _BATCH_BYTES - self._batch_bytes, _SHARD_BYTES - self._shard_bytes
        ends = [int(np.searchsorted(np.cumsum(size), room)) + 1 for size, room in zip(sizes, left, strict=True)]
        return min(rows, max(min(ends), FEWEST_ROWS - self._batch_rows))

    def _flush_batch(self) -> None:
        if not self._batch:
            return
        if self._writer is None:
            self._writer = TextWriter(text_file(self.root, len(self.shards)), TEXT, packed=self._packed)
        self._wait()
        batch = end_to_end(joined(self._batch))
        self._batch, self._batch_rows, self._batch_bytes = [], 0, 0
        self._written = self._background.submit(self._writer.write, batch)
        shared = frame_of(batch)
        for watcher in self.watchers:
            watcher.add(shared)

    def _wait(self) -> None:
        """Until the batch under way is written; raises what its writing raised."""
        if self._written:
            written, self._written = self._written, None
            written.result()

    def _flush_shard(self) -> None:
        self._flush_batch()
        if self._writer is None:
            return
        self._wait()
        self._writer.close()
        self._writer = None
        narrow = stacked(self._narrow)
        narrow.write_parquet(self.root / f"rows-{len(self.shards):05}.parquet")
        for watcher in self.watchers:
            watcher.finish(self.root, len(self.shards))
        self.shards.append(narrow.height)
        self._narrow, self._shard_rows, self._shard_bytes = [], 0, 0
        memory.give_back()

    def finish(self, digest: str, meanwhile: Callable[[], None]) -> None:
        """Close the last shard, then write the manifest, which makes the pool whole."""
        self._flush_shard()
        meanwhile()
        for watcher in self.watchers:
            watcher.drain()
        held = {
            "format": FORMAT,
            "rows": self.rows,
            "digest": digest,
            "shards": self.shards,
            "text_bytes": self.text_bytes,
            "parts": [asdict(part) for part in self.parts],
        }
        (self.root / "pool.json").write_bytes(orjson.dumps(held, option=orjson.OPT_INDENT_2))


def _text_bytes(texts: pl.DataFrame) -> pl.Series:
    """The bytes of each row's texts."""
    return texts.select(pl.sum_horizontal(pl.all().str.len_bytes().fill_null(0)).cast(pl.Int64)).to_series()


def _carried_bytes(narrow: pl.DataFrame) -> NDArray[np.int64]:
    """What each row carries beside its text, which stays in memory until its shard is written: its own texts; of lists
    and the like an equal part of them all."""
    texts, others = (narrow.select(kind) for kind in (pl.col(pl.String), ~cs.numeric() & ~cs.string() & ~cs.boolean()))
    each = others.estimated_size() // max(1, narrow.height)
    if not texts.width:
        return np.full(narrow.height, each, np.int64)
    return np.asarray(each + _text_bytes(texts).to_numpy(), np.int64)


@dataclass
class _Aside:
    """Where the rows of one file go that cannot be used."""

    quarantine: BinaryIO
    source: int
    has_lines: bool
    unread_rows: int = 0

    def unread(self, row: BadRow) -> None:
        self.unread_rows += 1
        self.write(row)

    def write(self, row: BadRow, generation: int | None = None) -> None:
        line = {"line": row.source_row + 1} if self.has_lines else {}
        which = {} if generation is None else {"generation": generation}
        self.quarantine.write(orjson.dumps({"source": self.source, **asdict(row), **line, **which}) + b"\n")


def _usable(frame: pl.DataFrame, rows: NDArray[np.int64], aside: _Aside) -> pl.DataFrame:
    """The examples that can be used, `position` in their batch being made `source_row`; the others are set aside."""
    place = pl.Series("source_row", rows[frame["position"].to_numpy()], dtype=pl.Int64)
    frame = without(frame, "position").hstack([place])
    if frame["problem"].null_count() == frame.height:
        return without(frame, "problem")
    for row in frame.filter(pl.col("problem").is_not_null()).iter_rows(named=True):
        head = next((row[name] for name in ("question", "trace", "gold") if row[name]), "")
        aside.write(BadRow(row["source_row"], row["problem"], head[:HEAD_CHARS]), row["generation"])
    return without(frame.filter(pl.col("problem").is_null()), "problem")
