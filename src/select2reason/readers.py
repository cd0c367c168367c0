"""Reading the files of a pool in batches that keep each row's place in its file.

A row that cannot be read is handed to the caller with its place, the reason and the head of its text, and the reading
goes on. Memory is bounded by the batch: 12 MB of text, or two rows where those are longer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from select2reason import json_records
from select2reason.arrow_texts import check_but_texts
from select2reason.errors import PoolError
from select2reason.frames import FEWEST_ROWS, Sample, from_arrow, from_values, telling
from select2reason.sources import SourceFile, packing_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH_BYTES = 12 << 20  # of text in memory at once, or two rows where those are longer
_BATCH_ROWS = 1024
SAMPLE_ROWS = 64  # that a layout is told from
_LOOKED_AT_ROWS = 1024  # of JSON, or as many as a batch holds
_PROBED_BYTES = 64 << 20  # of rows so long that fewer have to do
_PLACES, _LINE_BYTES = 64, 1 << 20  # of a large JSON file that is looked into all over
HEAD_CHARS = 200  # of a row that is set aside
_HEAD_BYTES = 4 * HEAD_CHARS


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


def probe(source: SourceFile, *, rows: int = SAMPLE_ROWS, having: Collection[str] = ()) -> Sample:
    """The first readable rows of a file, with all of its columns: enough to tell its layout.

    JSON shows a column only where a row has it, so more of it is looked at: what follows the first rows, some lines
    from all over the file and, for a column of `having` that is not among them, the first row that has it. Rows that
    show a column for the first time stand behind the first ones.
    """
    frames: list[pl.DataFrame] = []
    looked_at = rows if source.kind != "jsonl" else max(rows, _LOOKED_AT_ROWS)
    held = 0
    for batch in read(source, on_bad=_unheard, batch_rows=rows):
        frames.append(batch.frame)
        found, held = sum(map(len, frames)), held + int(batch.frame.estimated_size())
        if found >= looked_at or (held >= _BATCH_BYTES and found >= rows) or held >= _PROBED_BYTES:
            break
    else:
        return telling(frames, rows)
    if source.kind == "jsonl":
        frames += _further(source, {*having} - {name for frame in frames for name in frame.columns})
    return telling(frames, rows)


def _unheard(bad: BadRow) -> None:
    """Rows that cannot be read are told when the whole file is."""


def column_names(source: SourceFile) -> list[str]:
    """Names of a Parquet or Arrow file's columns, in order."""
    with _foreign_errors_mapped(source):
        if source.kind == "parquet":
            return list(pq.read_schema(source.path).names)
        with pa.memory_map(str(source.path)) as mapped:
            return list(_arrow_reader(mapped).schema.names)


def place_of(row: int, *, has_lines: bool) -> str:
    """Where a row stands, for people: its line as an editor counts, or its row from 0, as in `source_row`."""
    return f"line {row + 1}" if has_lines else f"row {row}"


def has_lines(source: SourceFile) -> bool:
    """Whether a row is a line of its file, so that its number can be told as a line's."""
    if source.kind != "jsonl":
        return False
    with _foreign_errors_mapped(source), source.path.open("rb") as raw, _unpacked(source, raw) as stream:
        return not json_records.begins_array(stream.read(1 << 20))


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
    with _foreign_errors_mapped(source):
        if source.path.stat().st_size == 0:
            raise PoolError(f"{source.label} is empty; give a file with rows")
        yield from readers[source.kind](source, on_bad, columns, batch_rows)


@contextmanager
def _foreign_errors_mapped(source: SourceFile) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise PoolError(f"no permission to read {source.label}; check its rights") from error
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError) as error:
        raise PoolError(f"cannot read {source.label}: {_first_line(error)}; fetch or write it again") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


# --- JSON -----------------------------------------------------------------------------------------------------------


def _read_json(source: SourceFile, on_bad: OnBad, columns: Sequence[str] | None, batch_rows: int) -> Iterator[RawBatch]:
    size = source.path.stat().st_size
    records: list[dict[str, object]] = []
    rows: list[int] = []
    held = 0
    with source.path.open("rb") as raw, _unpacked(source, raw) as stream:
        for place, text in json_records.cut(stream, source.label):
            held += len(text)
            record = _record(place, text, on_bad)
            del text  # of a long row there is enough in memory
            if record is not None:
                records.append(record)
                rows.append(place)
            if len(records) >= batch_rows or (held >= _BATCH_BYTES and len(records) >= FEWEST_ROWS):
                yield RawBatch(_json_frame(records, columns), np.asarray(rows, np.int64), min(1.0, raw.tell() / size))
                records, rows, held = [], [], 0
        if records:
            yield RawBatch(_json_frame(records, columns), np.asarray(rows, np.int64), 1.0)


def _further(source: SourceFile, having: Collection[str]) -> Iterator[pl.DataFrame]:
    """Rows from further on in a JSON file, some from all over it and the first that has each column of `having`."""
    with _foreign_errors_mapped(source):
        records = [record for text in _lines_from_all_over(source) if (record := _record(0, text, _unheard))]
        missing = {
            name: (orjson.dumps(name), json.dumps(name).encode())
            for name in having
            if not any(name in record for record in records)
        }
        if missing:
            with source.path.open("rb") as raw, _unpacked(source, raw) as stream:
                records += _first_with(json_records.cut(stream, source.label), missing)
    if records:
        yield _json_frame(records, None)


def _lines_from_all_over(source: SourceFile) -> Iterator[bytes]:
    """Whole lines from evenly spaced places; none of a packed file, or of one array."""
    if packing_of(source.path) or not has_lines(source):
        return
    with source.path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        for place in range(1, _PLACES):
            stream.seek(size * place // _PLACES)
            if stream.readline(_LINE_BYTES).endswith(b"\n") and (line := stream.readline(_LINE_BYTES)).endswith(b"\n"):
                yield line


def _first_with(
    cut: Iterable[tuple[int, bytes]], missing: dict[str, tuple[bytes, bytes]]
) -> Iterator[dict[str, object]]:
    """The first record that has each of the names, which are searched for as JSON spells them."""
    for place, text in cut:
        if any(one in text for spelt in missing.values() for one in spelt) and (
            record := _record(place, text, _unheard)
        ):
            if found := missing.keys() & record.keys():
                yield record
            for name in found:
                del missing[name]
            if not missing:
                return


def _unpacked(source: SourceFile, raw: object) -> pa.NativeFile:
    return pa.input_stream(raw, compression=packing_of(source.path))


def _record(place: int, text: bytes, on_bad: OnBad) -> dict[str, object] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if record := _as_python_writes(text):
            return record
        reason = f"not valid JSON: {error}"
    else:
        if isinstance(value, dict) and value:
            return _exact(value, text)
        reason = "an empty object" if value == {} else f"not a JSON object but {type(value).__name__}"
    on_bad(BadRow(place, reason, _shown(text)))
    return None


def _as_python_writes(text: bytes) -> dict[str, object] | None:
    """A record with NaN or Infinity, which Python writes for what is missing and JSON does not know: null. None where
    that is not all that is wrong with it."""
    if b"NaN" not in text and b"Infinity" not in text:
        return None
    try:
        value = json.loads(text, parse_constant=lambda name: None)
        orjson.dumps(value)  # whether all of its texts are texts
    except (ValueError, TypeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _exact(record: dict[str, object], text: bytes) -> dict[str, object]:
    """Integers of more than 64 bits as they stand: orjson rounds them to floats, and a gold answer may be one."""
    rounded = any(isinstance(value, float) and abs(value) >= 2**63 for value in record.values())
    try:
        return json.loads(text) if rounded else record
    except RecursionError:  # nested deeper than Python reads
        return record


def _shown(text: bytes) -> str:
    return text[:_HEAD_BYTES].decode("utf-8", "replace")[:HEAD_CHARS]


def _json_frame(records: list[dict[str, object]], columns: Sequence[str] | None) -> pl.DataFrame:
    """The records as columns; they are let go of, so that one long row is not held twice while it is worked on."""
    names = list(dict.fromkeys(name for record in records for name in record))
    if any("\0" in name for name in names):
        return _json_frame([_without_nul(record) for record in records], columns)
    wanted = [name for name in names if columns is None or name in columns]
    frame = pl.DataFrame({name: from_values(name, [record.get(name) for record in records]) for name in wanted})
    records.clear()
    return frame


def _without_nul(record: dict[str, object]) -> dict[str, object]:
    """A NUL ends a column's name in Arrow, so in a key it is written as JSON spells it."""
    return {key.replace("\0", "\\u0000"): value for key, value in record.items()}


# --- Parquet and Arrow ----------------------------------------------------------------------------------------------


def _read_parquet(
    source: SourceFile, on_bad: OnBad, columns: Sequence[str] | None, batch_rows: int
) -> Iterator[RawBatch]:
    texts = pa.large_binary()  # also where they are written as a dictionary: each batch would hold a group's whole
    with pq.ParquetFile(source.path, pre_buffer=False, buffer_size=1 << 20, binary_type=texts) as file:
        total = file.metadata.num_rows
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        rows = _rows_within(sum(group.total_byte_size for group in groups), total, batch_rows)
        wanted = _wanted(file.schema_arrow.names, columns)
        start = 0
        for batch in file.iter_batches(rows, columns=wanted):
            done = (start + batch.num_rows) / max(1, total)
            yield from _arrow_batch(batch, start, done, on_bad)
            start += batch.num_rows
        if start != total:
            raise pa.ArrowInvalid(f"it says that it has {total:,} rows, and gives {start:,}")


def _wanted(names: Sequence[str], columns: Sequence[str] | None) -> list[str]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise pa.ArrowInvalid(f"several columns are called {', '.join(twice)}")
    if odd := [name for name in names if "\0" in name]:
        raise pa.ArrowInvalid(f"the column name {odd[0]!r} holds a NUL character")
    return [name for name in names if columns is None or name in columns]


def _rows_within(held_bytes: int, rows: int, batch_rows: int) -> int:
    """How many of a table's rows hold as much text as a batch may."""
    return max(FEWEST_ROWS, min(batch_rows, int(_BATCH_BYTES * rows / max(1, held_bytes))))


def _read_arrow(
    source: SourceFile, on_bad: OnBad, columns: Sequence[str] | None, batch_rows: int
) -> Iterator[RawBatch]:
    with pa.memory_map(str(source.path)) as mapped:
        start = 0
        for whole, done in _arrow_batches(source, mapped):
            wanted = whole.select(_wanted(whole.schema.names, columns))
            wanted.validate()  # cheap; offsets that lead out of their buffers would end the process
            step = _rows_within(wanted.nbytes, wanted.num_rows, batch_rows)
            for at in range(0, wanted.num_rows, step):
                _refuse_shorter(source, mapped)
                part = wanted.slice(at, step)
                yield from _arrow_batch(part, start, done, on_bad)
                start += part.num_rows


def _arrow_reader(mapped: pa.MemoryMappedFile) -> pa.RecordBatchStreamReader | pa.RecordBatchFileReader:
    is_file = mapped.read(6) == b"ARROW1"
    mapped.seek(0)
    return pa.ipc.open_file(mapped) if is_file else pa.ipc.open_stream(mapped)


def _arrow_batches(source: SourceFile, mapped: pa.MemoryMappedFile) -> Iterator[tuple[pa.RecordBatch, float]]:
    """Each batch, with the part of the file that it ends."""
    reader = _arrow_reader(mapped)
    if isinstance(reader, pa.RecordBatchFileReader):
        for i in range(reader.num_record_batches):
            _refuse_shorter(source, mapped)
            yield reader.get_batch(i), (i + 1) / reader.num_record_batches
        return
    while True:
        _refuse_shorter(source, mapped)
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        yield batch, mapped.tell() / mapped.size()  # short of 1 by the mark that ends the stream


def _refuse_shorter(source: SourceFile, mapped: pa.MemoryMappedFile) -> None:
    """What is mapped and no longer there must not be touched: that would end the process (SIGBUS)."""
    if source.path.stat().st_size < mapped.size():
        raise pa.ArrowInvalid("it became shorter while it was read")


def _arrow_batch(batch: pa.RecordBatch, start: int, done: float, on_bad: OnBad) -> Iterator[RawBatch]:
    rows = np.arange(start, start + batch.num_rows, dtype=np.int64)
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        check_but_texts(batch)
        batch, rows = _valid_rows(batch, rows, on_bad)
    if batch.num_rows:
        columns = {name: from_arrow(name, batch.column(name)) for name in batch.schema.names}
        for name, labels in _class_labels(batch.schema).items():
            columns[name] = _labelled(columns[name], labels)
        yield RawBatch(pl.DataFrame(columns), rows, done)


def _class_labels(schema: pa.Schema) -> dict[str, list[str]]:
    """Of columns of class labels, which `datasets` writes as numbers, the names that stand in the schema."""
    try:
        features = orjson.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        found = {name: one["names"] for name, one in features.items() if one.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    whole = {name for name in schema.names if pa.types.is_integer(schema.field(name).type)}
    return {name: [str(label) for label in labels] for name, labels in found.items() if name in whole and labels}


def _labelled(numbers: pl.Series, labels: Sequence[str]) -> pl.Series:
    """The name of each number; null for one that has none, such as -1."""
    known = pl.DataFrame({"n": numbers.cast(pl.Int64)}).select(
        pl.when(pl.col("n").is_between(0, len(labels) - 1)).then("n")
    )
    return pl.Series(numbers.name, labels, dtype=pl.String).gather(known["n"])


def _valid_rows(
    batch: pa.RecordBatch, rows: NDArray[np.int64], on_bad: OnBad
) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
    """The rows whose text is UTF-8, which decoding them one by one finds out."""
    good, values = [], []
    for i in range(batch.num_rows):
        try:
            values += batch.slice(i, 1).to_pylist()
        except UnicodeDecodeError as error:
            reason = f"not valid UTF-8: {error.reason} at byte {error.start}"
            on_bad(BadRow(int(rows[i]), reason, _shown(error.object)))
        else:
            good.append(i)
    return pa.RecordBatch.from_pylist(values, schema=batch.schema), rows[good]
