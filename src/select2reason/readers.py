"""Reading the files of a pool in batches that keep each row's place in its file.

A row that cannot be read is handed to the caller with its place, the reason and the head of its text, and the reading
goes on. Memory is bounded by the batch: 8 MB of text, or one row where that is longer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from select2reason.errors import PoolError
from select2reason.sources import PACKED, SourceFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH_BYTES = 8 << 20  # of text in memory at once; a longer row is a batch of its own
_BATCH_ROWS = 1024
_BLOCK_BYTES = 4 << 20
_HEAD_CHARS = 200


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Rows as the file has them; `rows` counts from 0 within the file, `done` is the part of the file read so far."""

    frame: pl.DataFrame
    rows: NDArray[np.int64]
    done: float


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be used: its place in its file, why, and the head of its text."""

    source_row: int
    reason: str
    head: str


OnBad = Callable[[BadRow], None]


def probe(source: SourceFile, *, rows: int = 64) -> pl.DataFrame:
    """The first readable rows of a file, with all of its columns: enough to tell its layout."""
    frames: list[pl.DataFrame] = []
    for batch in read(source, on_bad=lambda bad: None, batch_rows=rows):
        frames.append(batch.frame)
        if sum(map(len, frames)) >= rows:
            break
    return pl.concat(frames, how="diagonal_relaxed").head(rows) if frames else pl.DataFrame()


def column_names(source: SourceFile) -> list[str]:
    """Names of a Parquet or Arrow file's columns, in order."""
    if source.kind == "parquet":
        return list(pq.read_schema(source.path).names)
    with pa.memory_map(str(source.path)) as mapped:
        return list(next(_arrow_batches(mapped)).schema.names)


def read(
    source: SourceFile,
    *,
    on_bad: OnBad,
    columns: Sequence[str] | None = None,
    batch_rows: int = _BATCH_ROWS,
) -> Iterator[RawBatch]:
    """Read a file in order. `columns` narrows what Parquet and Arrow decode; JSON is read whole either way.

    Raises PoolError where the file as a whole cannot be read (damaged, cut short, not what its name says).
    """
    readers = {"jsonl": _read_json, "parquet": _read_parquet, "arrow": _read_arrow}
    try:
        if source.path.stat().st_size == 0:
            raise PoolError(f"{source.label} is empty; give a file with rows")
        yield from readers[source.kind](source, on_bad, columns, batch_rows)
    except PermissionError as error:
        raise PoolError(f"no permission to read {source.label}; check its rights") from error
    except (pa.ArrowException, OSError, EOFError) as error:
        raise PoolError(f"cannot read {source.label}: {_first_line(error)}; fetch or write it again") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


# --- JSON -----------------------------------------------------------------------------------------------------------


def _read_json(source: SourceFile, on_bad: OnBad, columns: Sequence[str] | None, batch_rows: int) -> Iterator[RawBatch]:
    size = source.path.stat().st_size
    records: list[dict[str, object]] = []
    rows: list[int] = []
    held = 0
    with source.path.open("rb") as raw, _unpacked(source.path, raw) as stream:
        for place, text in _json_texts(source, stream):
            held += len(text)
            record = _record(source, place, text, on_bad)
            if record is not None:
                records.append(record)
                rows.append(place)
            if len(records) >= batch_rows or held >= _BATCH_BYTES:
                yield from _json_batch(records, rows, columns, raw.tell() / size)
                records, rows, held = [], [], 0
        yield from _json_batch(records, rows, columns, 1.0)


def _unpacked(path: Path, raw: object) -> pa.NativeFile:
    return pa.input_stream(raw, compression=PACKED.get(path.suffix))


def _json_texts(source: SourceFile, stream: pa.NativeFile) -> Iterator[tuple[int, bytes]]:
    """Each record's place and JSON text, of JSON Lines or of one array of objects."""
    first = stream.read(_BLOCK_BYTES)
    start = first.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        return _array_items(source, start[1:], stream)
    return _lines(first.removeprefix(b"\xef\xbb\xbf"), stream)


def _lines(block: bytes, stream: pa.NativeFile) -> Iterator[tuple[int, bytes]]:
    pending: list[bytes] = []  # pieces of a line that runs over blocks; joined once, so a 200 MB line stays linear
    line = 0
    while block:
        pieces = block.split(b"\n")
        for piece in pieces[:-1]:
            pending.append(piece)
            text, pending = b"".join(pending), []
            if text.strip():
                yield line, text
            line += 1
        pending.append(pieces[-1])
        block = stream.read(_BLOCK_BYTES)
    if (text := b"".join(pending)).strip():
        yield line, text


def _array_items(source: SourceFile, block: bytes, stream: pa.NativeFile) -> Iterator[tuple[int, bytes]]:
    """The objects of one JSON array, cut out one by one, so that the array is never held whole."""
    decoder = json.JSONDecoder()
    text, place = block.decode("utf-8", "surrogateescape"), 0
    while True:
        text = text.lstrip(" \t\r\n,")
        if text.startswith("]"):
            return
        try:
            _, end = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            more = stream.read(max(_BLOCK_BYTES, len(text)))  # doubling keeps a long object linear
            if not more:
                raise PoolError(
                    f"{source.label}: the JSON array breaks off or is damaged at item {place}; write it as JSON Lines"
                ) from None
            text += more.decode("utf-8", "surrogateescape")
            continue
        yield place, text[:end].encode("utf-8", "surrogateescape")
        text, place = text[end:], place + 1


def _record(source: SourceFile, place: int, text: bytes, on_bad: OnBad) -> dict[str, object] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        reason = f"not valid JSON: {error}"
    else:
        if isinstance(value, dict) and value:
            return value
        reason = "an empty object" if value == {} else f"not a JSON object but {type(value).__name__}"
    on_bad(BadRow(place, reason, text[: 4 * _HEAD_CHARS].decode("utf-8", "replace")[:_HEAD_CHARS]))
    return None


def _json_batch(
    records: list[dict[str, object]], rows: list[int], columns: Sequence[str] | None, done: float
) -> Iterator[RawBatch]:
    if not records:
        return
    names = list(dict.fromkeys(name for record in records for name in record))
    wanted = [name for name in names if columns is None or name in columns]
    frame = pl.DataFrame([_column(name, [record.get(name) for record in records]) for name in wanted])
    yield RawBatch(frame, np.asarray(rows, np.int64), min(done, 1.0))


def _column(name: str, values: list[object]) -> pl.Series:
    """One typed column; values of mixed types become their JSON text, so that nothing is lost or coerced."""
    try:
        return pl.Series(name, pl.from_arrow(pa.array(values)))
    except (pa.ArrowException, pl.exceptions.PolarsError, OverflowError, ValueError, TypeError):
        texts = [v if v is None or isinstance(v, str) else orjson.dumps(v).decode() for v in values]
        return pl.Series(name, texts, dtype=pl.String)


# --- Parquet and Arrow ----------------------------------------------------------------------------------------------


def _read_parquet(
    source: SourceFile, on_bad: OnBad, columns: Sequence[str] | None, batch_rows: int
) -> Iterator[RawBatch]:
    with pq.ParquetFile(source.path, pre_buffer=False, buffer_size=1 << 20) as file:
        total = file.metadata.num_rows
        wanted = [name for name in file.schema_arrow.names if columns is None or name in columns]
        start = 0
        for batch in file.iter_batches(_rows_within(file, batch_rows), columns=wanted):
            yield from _arrow_batch(source, batch, start, total, on_bad)
            start += batch.num_rows


def _rows_within(file: pq.ParquetFile, batch_rows: int) -> int:
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    row_bytes = sum(g.total_byte_size for g in groups) / max(1, file.metadata.num_rows)
    return max(1, min(batch_rows, int(_BATCH_BYTES / max(1.0, row_bytes))))


def _read_arrow(
    source: SourceFile, on_bad: OnBad, columns: Sequence[str] | None, batch_rows: int
) -> Iterator[RawBatch]:
    with pa.memory_map(str(source.path)) as mapped:
        start = 0
        for whole in _arrow_batches(mapped):
            wanted = [name for name in whole.schema.names if columns is None or name in columns]
            for at in range(0, whole.num_rows, batch_rows):
                part = whole.select(wanted).slice(at, batch_rows)
                yield from _arrow_batch(source, part, start, None, on_bad)
                start += part.num_rows


def _arrow_batches(mapped: pa.MemoryMappedFile) -> Iterator[pa.RecordBatch]:
    is_file = mapped.read(6) == b"ARROW1"
    mapped.seek(0)
    if not is_file:
        yield from pa.ipc.open_stream(mapped)
        return
    reader = pa.ipc.open_file(mapped)
    for i in range(reader.num_record_batches):
        yield reader.get_batch(i)


def _arrow_batch(
    source: SourceFile, batch: pa.RecordBatch, start: int, total: int | None, on_bad: OnBad
) -> Iterator[RawBatch]:
    rows = np.arange(start, start + batch.num_rows, dtype=np.int64)
    done = (start + batch.num_rows) / total if total else 0.0
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        batch, rows = _valid_rows(source, batch, rows, on_bad)
    if batch.num_rows:
        yield RawBatch(pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch]))), rows, done)


def _valid_rows(
    source: SourceFile, batch: pa.RecordBatch, rows: NDArray[np.int64], on_bad: OnBad
) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
    good = []
    for i in range(batch.num_rows):
        try:
            pa.RecordBatch.from_pylist(batch.slice(i, 1).to_pylist())  # decoding finds text that is not UTF-8
        except (UnicodeDecodeError, pa.ArrowInvalid) as error:
            on_bad(BadRow(int(rows[i]), f"not valid UTF-8: {_first_line(error)}", ""))
        else:
            good.append(i)
    return batch.take(pa.array(good, pa.int64())), rows[good]
