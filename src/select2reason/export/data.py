"""The chosen rows as Parquet files, best first: DIR/data/train-XXXXX-of-XXXXX.parquet, as `datasets` opens them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from select2reason.cores import cores
from select2reason.errors import OutputError
from select2reason.pool import OWN, Chunk, Pool
from select2reason.tags import answer_of
from select2reason.trace import SYSTEM_PROMPT

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE_BYTES = 512 << 20  # of text in one data file, the customary size on the Hub
_LESS_BYTES = 64 << 20  # where that gives few files: compressing takes longest, and cores share files
_FEW_FILES = 8  # up to which there are 1, 2, 4 or 8, which two and four cores share evenly
_WRITERS = 4  # files written at once, at most: each has a chunk in memory
_SCORES = ("difficulty", "trace_tokens", "total_tokens", "rank_joint")
_MADE = (
    "messages",
    "question",
    "trace",
    "answer",
    "gold",
    "category",
    "row",
    "source_file",
    "source_row",
    "generation",
)


def carried_names(own: Sequence[str], carry: Sequence[str] | str) -> dict[str, str]:
    """Of the pool's own columns: carried column -> its name in the selection; one that would hide a column made here
    gets the suffix _input. Raises OutputError where one that is named is not there."""
    wanted = list(own) if carry == "all" else [] if carry == "none" else list(carry)
    if missing := [name for name in wanted if name not in own]:
        raise OutputError(f"--carry {','.join(missing)}: what can be carried is {', '.join(own) or 'nothing here'}")
    taken = {*_MADE, *_SCORES}
    names: dict[str, str] = {}
    for name in wanted:
        new = name
        while new in taken or (new != name and new in own):
            new += "_input"
        names[name] = new
    return names


def write_data(
    pool: Pool,
    rows: NDArray[np.uint32],
    chunks: Sequence[Chunk],
    table: pl.DataFrame,
    folder: Path,
    *,
    carried: Mapping[str, str],
    advance: Callable[[float], None],
) -> None:
    """Write the chosen rows, best first, with their text in `chunks` as `Pool.take` gives it; `advance` is told rows
    done. How they are cut into files depends on them alone, not on the machine."""
    (folder / "data").mkdir()
    beside = _beside(pool, rows, table, carried)
    ended, telling = Event(), Lock()

    def written(path: Path, own: Sequence[Chunk]) -> None:
        writer: pq.ParquetWriter | None = None
        for chunk in own:
            if ended.is_set():
                return
            examples = pl.concat([as_examples(chunk.load()), beside.slice(chunk.start, chunk.rows)], how="horizontal")
            data = examples.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer = writer or _writer(path, data.schema)
            writer.write_table(data, row_group_size=1000)
            with telling:
                advance(chunk.rows)
        if writer:
            writer.close()

    with ThreadPoolExecutor(min(_WRITERS, cores())) as threads:
        try:
            list(threads.map(written, *zip(*_files(folder / "data", chunks), strict=True)))
        finally:
            ended.set()  # of an interrupted run no file is finished


def _files(data: Path, chunks: Sequence[Chunk]) -> Iterator[tuple[Path, Sequence[Chunk]]]:
    """The files and their chunks, as alike in bytes as these let them be."""
    edges = np.cumsum([0, *(chunk.text_bytes for chunk in chunks)], dtype=np.int64)
    few, many = (-(-int(edges[-1]) // size) for size in (_LESS_BYTES, _FILE_BYTES))
    wanted = max(min(_FEW_FILES, 1 << (few - 1).bit_length()), many)
    even = edges[-1] * np.arange(1, wanted) / wanted
    cuts = np.unique(np.abs(edges[:, None] - even).argmin(axis=0))
    parts = np.split(np.arange(len(chunks)), cuts[(cuts > 0) & (cuts < len(chunks))])
    for number, part in enumerate(parts):
        yield data / f"train-{number:05}-of-{len(parts):05}.parquet", [chunks[at] for at in part]


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Dictionaries for what repeats only; traces never do."""
    few = ["category", "source_file", "messages.list.element.role"]
    return pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, use_dictionary=few)


def _beside(pool: Pool, rows: NDArray[np.uint32], table: pl.DataFrame, carried: Mapping[str, str]) -> pl.DataFrame:
    """The narrow columns of the chosen rows, in their order."""
    names = ["category", "source", "source_row", "generation", *(OWN + name for name in carried)]
    own = pool.narrow(names, rows=rows)
    labels = pl.Series(pool.labels, dtype=pl.String)
    return own.select(
        "category",
        row=pl.Series(rows, dtype=pl.UInt32),
        source_file=pl.lit(labels[own["source"].cast(pl.UInt32)]),
        source_row="source_row",
        generation=pl.col("generation").cast(pl.UInt32),
        **{name: pl.lit(table[name][rows]) for name in _SCORES},
        **{new: pl.col(OWN + name) for name, new in carried.items()},
    )


def as_examples(text: pl.DataFrame) -> pl.DataFrame:
    """Canonical text as messages (system, user, assistant), question, trace, answer and gold.

    The system prompt is the one that total_tokens counts (METHOD 6, 9.9). The answer is what follows the trace; where
    nothing does, it is null.
    """
    answer = answer_of(pl.col("tail"))
    turns = [
        _turn("system", pl.lit(SYSTEM_PROMPT)),
        _turn("user", pl.col("question")),
        _turn("assistant", pl.col("head") + pl.col("trace") + pl.col("tail")),
    ]
    return text.select(
        messages=pl.concat_list(turns),
        question="question",
        trace="trace",
        answer=pl.when(answer != "").then(answer),
        gold="gold",
    )


def _turn(role: str, content: pl.Expr) -> pl.Expr:
    return pl.struct(role=pl.lit(role), content=content)
