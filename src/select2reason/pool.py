"""The pool on disk: canonical Parquet shards, made once from any layout, read in batches ever after.

Wide text stays on disk, in `text-*.parquet` (question, head, trace, tail, gold; head + trace + tail is the response as
it stands); what is narrow stands beside it in `rows-*.parquet`, shard for shard: where a row came from, its category,
the pool's own flags and the carried columns (prefix `own:`). A row's position is its name in every later table.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from select2reason import layouts, sources
from select2reason.errors import PoolError, RunError
from select2reason.layouts import Layout
from select2reason.sources import BadRow, RawBatch, SourceFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 1  # raised whenever the shards change shape or meaning: an older pool is then built again, never misread
TEXT = ("question", "head", "trace", "tail", "gold")
OWN = "own:"
_TEXT_SCHEMA = pa.schema([(name, pa.large_string()) for name in TEXT])
_SHARD_ROWS = 8_192
_SHARD_BYTES = 256 << 20
_GROUP_ROWS = 1_024
_GROUP_BYTES = 24 << 20  # of text in one row group, so that one batch never holds much more than that
_CHUNK_BYTES = 64 << 20  # of text that `take` orders in memory at once
_MOST_CHUNKS = 200  # open files while `take` deals rows out

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class SourcePart:
    """What one source file gave: `rows` read, `bad` of them unreadable, `examples` made, under which layout."""

    rows: int
    bad: int
    examples: int
    layout: str


@dataclass(frozen=True, slots=True)
class Pool:
    """Canonical shards. `shards` holds the examples in each, `labels` the users' names of the source files."""

    root: Path
    rows: int
    digest: str
    shards: tuple[int, ...]
    text_bytes: int
    parts: tuple[SourcePart, ...]
    labels: tuple[str, ...]

    @classmethod
    def open(cls, root: Path, labels: Sequence[str]) -> Pool:
        """Open built shards. Raises RunError where they are damaged or of another format."""
        try:
            held = json.loads((root / "pool.json").read_text())
            if held["format"] != FORMAT:
                raise RunError(f"{root} is of another version; clear it with: select2reason cache --clear")
            parts = tuple(SourcePart(**part) for part in held["parts"])
            return cls(
                root,
                held["rows"],
                held["digest"],
                tuple(held["shards"]),
                held["text_bytes"],
                parts,
                tuple(labels),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{root} is damaged ({error}); clear it with: select2reason cache --clear") from error

    @property
    def starts(self) -> NDArray[np.int64]:
        """Position of each shard's first row, with the number of rows at the end: (shards + 1,)."""
        return np.concatenate([[0], np.cumsum(self.shards, dtype=np.int64)])

    def batches(self, columns: Sequence[str], *, shard: int) -> Iterator[pl.DataFrame]:
        """The text of one shard in order, a row group at a time (at most 1,024 rows)."""
        with pq.ParquetFile(self.root / f"text-{shard:05}.parquet") as file:
            for group in range(file.num_row_groups):
                yield pl.DataFrame(pl.from_arrow(file.read_row_group(group, columns=list(columns))))

    def narrow(self, columns: Sequence[str]) -> pl.DataFrame:
        """Narrow columns of all rows, in order; a column that a shard lacks is null there."""
        frames = []
        for shard, rows in enumerate(self.shards):
            path = self.root / f"rows-{shard:05}.parquet"
            held = [name for name in pq.read_schema(path).names if name in columns]
            frame = pl.read_parquet(path, columns=held)
            frames.append(frame if held else pl.DataFrame({"": pl.repeat(None, rows, eager=True)}))
        table = _stacked(frames)
        missing = [pl.lit(None).alias(name) for name in columns if name not in table.columns]
        return table.with_columns(missing).select(columns)

    def quarantine(self) -> Iterator[dict[str, object]]:
        """The rows that could not be used, in order: source_file, source_row (and line), reason, head of the text."""
        with (self.root / "quarantine.jsonl").open("rb") as lines:
            for line in lines:
                row = orjson.loads(line)
                yield {"source_file": self.labels[row.pop("source")], **row}

    def own_columns(self) -> list[str]:
        """Names of the carried columns, without the prefix, in first-seen order."""
        schemas = [pq.read_schema(self.root / f"rows-{shard:05}.parquet") for shard in range(len(self.shards))]
        names = dict.fromkeys(name for schema in schemas for name in schema.names if name.startswith(OWN))
        return [name.removeprefix(OWN) for name in names]

    def take(self, rows: NDArray[np.uint32], columns: Sequence[str], *, spill: Path) -> Iterator[pl.DataFrame]:
        """The text of these rows in the order given, in chunks of some 64 MB.

        The pool is read once: rows are dealt out to one file per chunk in `spill` (made and removed here), then each
        chunk is put in order by itself.
        """
        if not len(rows):
            return
        per_row = max(1.0, self.text_bytes / max(1, self.rows))
        size = max(int(_CHUNK_BYTES / per_row), -(-len(rows) // _MOST_CHUNKS), 1)
        if len(rows) <= size:
            dealt = list(self._gather(rows, columns))
            yield pl.concat(dealt).sort("at").drop("at")
            return
        spill.mkdir(parents=True, exist_ok=True)
        try:
            yield from self._dealt(rows, columns, size, spill)
        finally:
            shutil.rmtree(spill, ignore_errors=True)

    def _dealt(
        self, rows: NDArray[np.uint32], columns: Sequence[str], size: int, spill: Path
    ) -> Iterator[pl.DataFrame]:
        paths = [spill / f"{chunk:05}.arrow" for chunk in range(-(-len(rows) // size))]
        with ExitStack() as stack:
            writers: dict[int, pa.RecordBatchWriter] = {}
            for piece in self._gather(rows, columns):
                for (chunk,), part in piece.group_by(pl.col("at") // size):
                    table = part.to_arrow(compat_level=pl.CompatLevel.oldest())
                    number = int(chunk)
                    if number not in writers:
                        writers[number] = stack.enter_context(pa.ipc.new_stream(str(paths[number]), table.schema))
                    writers[number].write_table(table)
        for path in paths:
            with pa.OSFile(str(path)) as file:
                table = pa.ipc.open_stream(file).read_all()
            yield pl.DataFrame(pl.from_arrow(table)).sort("at").drop("at")
            path.unlink()

    def _gather(self, rows: NDArray[np.uint32], columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Pool order; `at` is each row's place in the order asked for."""
        order = np.argsort(rows, kind="stable")
        ordered = rows[order].astype(np.int64)
        for shard, start in enumerate(self.starts[:-1]):
            first = start
            bounds = np.searchsorted(ordered, [start, start + self.shards[shard]])
            if bounds[0] == bounds[1]:
                continue
            for batch in self.batches(columns, shard=shard):
                low, high = np.searchsorted(ordered, [first, first + batch.height])
                if high > low:
                    picked = batch[ordered[low:high] - first]
                    yield picked.with_columns(at=pl.Series(order[low:high], dtype=pl.Int64))
                first += batch.height


def _stacked(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Frames below one another; where shards disagree on a column's type, its values become text."""
    types: dict[str, set[pl.DataType]] = {}
    for frame in frames:
        for name, dtype in frame.schema.items():
            types.setdefault(name, set()).add(dtype)
    unlike = [name for name, kinds in types.items() if not _agree(kinds)]
    alike = [_worded(frame, unlike) for frame in frames]
    return pl.concat(alike, how="diagonal_relaxed")


def _agree(kinds: set[pl.DataType]) -> bool:
    real = {kind for kind in kinds if kind != pl.Null}
    return len(real) <= 1 or all(kind.is_numeric() for kind in real)


def _worded(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    columns = []
    for name in names:
        if name in frame.columns and frame.schema[name] not in (pl.String, pl.Null):
            texts = [
                None if value is None else orjson.dumps(value, default=str).decode() for value in frame[name].to_list()
            ]
            columns.append(pl.Series(name, texts, dtype=pl.String))
    return frame.with_columns(columns)


# --- building -------------------------------------------------------------------------------------------------------


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


def refuse_too_bad(pool: Pool, most: float) -> None:
    """Raise PoolError where no example is left, or more than the fraction `most` of the rows could not be used."""
    rows, bad = sum(part.rows for part in pool.parts), sum(part.bad for part in pool.parts)
    worst = next(pool.quarantine(), None)
    first = f" (first: {worst['source_file']} row {worst['source_row']}: {worst['reason']})" if worst else ""
    if not pool.rows:
        raise PoolError(f"the pool holds no example{first}; give a file with rows, or name its columns with --columns")
    if bad > most * rows:
        raise PoolError(
            f"{bad:,} of {rows:,} rows cannot be used{first}; mend them, name other columns with --columns, "
            f"or allow it with --max-bad-fraction {min(1.0, bad / rows + 0.01):.2f}"
        )


def _part_done(progress: Progress, number: int, files: int, done: float) -> None:
    progress((number + done) / files)


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
        self._group: list[pl.DataFrame] = []
        self._narrow: list[pl.DataFrame] = []
        self._group_bytes = self._shard_bytes = 0
        self._unread = self._unusable = 0  # of the file being read: rows that no reader, no layout could use

    def __enter__(self) -> _Builder:
        return self

    def __exit__(self, *_: object) -> None:
        self._quarantine.close()
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

        columns = None if file.kind == "jsonl" else layout.needed(sources.column_names(file))
        for raw in sources.read(file, on_bad=unread, columns=columns):
            rows += len(raw.rows)
            self._append(self._usable(number, file, raw, layout))
            progress(raw.done)
        bad = self._unread + self._unusable
        self.parts.append(SourcePart(rows + self._unread, bad, self.rows - before, str(layout)))

    def _usable(self, number: int, file: SourceFile, raw: RawBatch, layout: Layout) -> pl.DataFrame:
        frame = layouts.canonical(layout, raw.frame)
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
            text = now.select(TEXT)
            size = int(text.select(pl.sum_horizontal(pl.all().str.len_bytes().fill_null(0).sum())).item())
            self._group.append(text)
            self._narrow.append(now.drop(TEXT))
            self._group_bytes += size
            self._shard_bytes += size
            self.text_bytes += size
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
        table = pl.concat(self._group, rechunk=False).to_arrow(compat_level=pl.CompatLevel.oldest())
        self._writer.write_table(table.cast(_TEXT_SCHEMA), row_group_size=_GROUP_ROWS)
        self._group, self._group_bytes = [], 0

    def _flush_shard(self) -> None:
        self._flush_group()
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        narrow = _stacked(self._narrow)
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
