"""The text of one shard of a pool on disk: an Arrow file, written a batch of rows at a time, and mapped to be read.

What is mapped is neither copied nor decoded, and of its rows only those that are asked for are ever touched: the chosen
tenth of 340 MB of text is there in 0.1 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from select2reason.arrow_texts import check_but_texts
from select2reason.frames import frame_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def text_file(root: Path, shard: int) -> Path:
    """The file of one shard's text, of the pool at `root`."""
    return root / f"text-{shard:05}.arrow"


class TextWriter:
    """Writes text columns, batch after batch; `packed` with LZ4: 2.0 instead of 3.3 GB for 200,000 rows."""

    def __init__(self, path: Path, columns: Sequence[str], *, packed: bool = False) -> None:
        schema = pa.schema([(name, pa.large_string()) for name in columns])
        self._file = pa.OSFile(str(path), "wb")
        options = pa.ipc.IpcWriteOptions(compression="lz4" if packed else None)
        self._writer = pa.ipc.new_file(self._file, schema, options=options)

    def __enter__(self) -> TextWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """The next rows, as `end_to_end` lays them out."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """The file is whole from now on."""
        try:
            self._writer.close()
        finally:
            self._file.close()


def end_to_end(frame: pl.DataFrame) -> pa.RecordBatch:
    """Columns of text with each one's texts end to end in one piece of memory, copied there once."""
    columns = [column.to_arrow(compat_level=pl.CompatLevel.oldest()) for column in frame.iter_columns()]
    return pa.record_batch(columns, names=frame.columns)


def heights(path: Path) -> list[int]:
    """The rows of each batch."""
    with pa.memory_map(str(path)) as mapped:
        reader = _reader(mapped, [])  # a batch without columns tells its height alone
        return [reader.get_batch(number).num_rows for number in range(reader.num_record_batches)]


def read(path: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Every batch, in order."""
    with pa.memory_map(str(path)) as mapped:
        reader = _reader(mapped, columns)
        for number in range(reader.num_record_batches):
            yield frame_of(_batch(reader, number, columns))


def pick(path: Path, number: int, rows: NDArray[np.int64], columns: Sequence[str]) -> pl.DataFrame:
    """Some rows of one batch, in the order given, copied: a view of them would keep all of it in memory."""
    with pa.memory_map(str(path)) as mapped:
        return frame_of(end_to_end(frame_of(_batch(_reader(mapped, columns), number, columns))[rows]))


def _reader(mapped: pa.MemoryMappedFile, columns: Sequence[str]) -> pa.RecordBatchFileReader:
    schema = pa.ipc.open_file(mapped).schema
    fields = [schema.get_field_index(name) for name in columns]  # -1, which is refused, where there is none
    return pa.ipc.open_file(mapped, options=pa.ipc.IpcReadOptions(included_fields=fields))


def _batch(reader: pa.RecordBatchFileReader, number: int, columns: Sequence[str]) -> pa.RecordBatch:
    """One batch, in the order of `columns`; what is mapped is looked at before it is trusted: where one text ends and
    the next begins must be within it."""
    batch = reader.get_batch(number)
    check_but_texts(batch)
    return batch.select(list(columns))
