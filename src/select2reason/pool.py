"""The pool on disk: canonical shards, made once from any layout, read in batches ever after.

Wide text stays on disk, in `text-*.arrow` (question, head, trace, tail, gold; head + trace + tail is the response as
it stands; text_shards.py). What is narrow stands beside it in `rows-*.parquet`, shard for shard: where a row came from,
its category, the pool's own flags and the carried columns (prefix `own:`). A row's position is its name in every later
table.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from select2reason import cache
from select2reason.canonical import OWN as OWN
from select2reason.errors import PoolError, RunError, UsageError, first_line
from select2reason.frames import frame_of, joined, stacked, without
from select2reason.readers import place_of
from select2reason.text_shards import end_to_end, heights, pick, read, text_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 4  # raised whenever the shards change shape or meaning: an older pool is then built again, never misread
TEXT = ("question", "head", "trace", "tail", "gold")
_CHUNK_BYTES = 8 << 20  # of text that `take` orders in memory at once
_HELD_BYTES = 128 << 20  # of text that `take` holds rather than deals out
_DEALT_BYTES = 32 << 20  # of text that it deals out at once
_READERS = 2  # batches that it reads at once
_MOST_CHUNKS = 200  # open files while `take` deals rows out


@contextmanager
def sound(root: Path) -> Iterator[None]:
    """Reading what the cache holds: what fails there is a damaged cache, and the message says how to mend it."""
    try:
        yield
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
            raise
        raise RunError(f"{root} is damaged ({first_line(error)}); clear it with: {cache.clearing(root)}") from error


@dataclass(frozen=True, slots=True)
class SourcePart:
    """What one source file gave: `rows` read, `bad` of them without an example, `examples` made, under which layout."""

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
        root = Path(root)
        try:
            held = json.loads((root / "pool.json").read_text())
            if held["format"] != FORMAT:
                raise RunError(f"{root} is of another version; clear it with: {cache.clearing(root)}")
            parts = tuple(SourcePart(**part) for part in held["parts"])
            shards = tuple(held["shards"])
            return cls(root, held["rows"], held["digest"], shards, held["text_bytes"], parts, tuple(labels))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{root} is damaged ({error}); clear it with: {cache.clearing(root)}") from error

    @property
    def bad_rows(self) -> int:
        """Rows of the source files that gave no example."""
        return sum(part.bad for part in self.parts)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Position of each shard's first row, with the number of rows at the end: (shards + 1,)."""
        return np.concatenate([[0], np.cumsum(self.shards, dtype=np.int64)])

    def batches(self, columns: Sequence[str], *, shard: int) -> Iterator[pl.DataFrame]:
        """The text of one shard in order, some at a time (at most 1,024 rows). Raises UsageError where there is no such
        shard, or a column is none of TEXT."""
        if not 0 <= shard < len(self.shards):
            raise UsageError(f"the pool has {len(self.shards)} shards, counted from 0; there is no {shard}")
        _refuse_no_text(columns)
        with sound(self.root):
            yield from read(text_file(self.root, shard), columns)

    def narrow(self, columns: Sequence[str], *, rows: NDArray[np.uint32] | None = None) -> pl.DataFrame:
        """Narrow columns of all rows, or of some in the order given; a column that a shard lacks is null there. Carried
        columns have the prefix OWN before the names that `own_columns` gives. Raises UsageError for a row that is not
        there."""
        rows = None if rows is None else self._placed(rows)
        order = np.arange(0) if rows is None else np.argsort(rows, kind="stable")
        frames = []
        for shard, start in enumerate(self.starts[:-1]):
            frame = self._narrow_shard(columns, shard)
            if rows is not None:
                low, high = np.searchsorted(rows[order], [start, start + self.shards[shard]])
                frame = frame[rows[order[low:high]].astype(np.int64) - start]
            frames.append(frame)
        table = stacked(frames)
        missing = [pl.lit(None).alias(name) for name in columns if name not in table.columns]
        table = table.with_columns(missing).select(columns)
        return table if rows is None else table[np.argsort(order, kind="stable")]

    def _narrow_shard(self, columns: Sequence[str], shard: int) -> pl.DataFrame:
        with sound(self.root):
            path = self.root / f"rows-{shard:05}.parquet"
            held = [name for name in pq.read_schema(path).names if name in columns]
            frame = pl.read_parquet(path, columns=held, glob=False)
        return frame if held else pl.DataFrame({"": pl.repeat(None, self.shards[shard], eager=True)})

    def quarantine(self) -> Iterator[dict[str, object]]:
        """What could not be used, in order: source_file, source_row (and line), reason, head of the text.

        Where only some of a row's generations could not, `generation` tells which.
        """
        for row in self.set_aside():
            yield {"source_file": self.labels[row.pop("source")], **row}

    def set_aside(self) -> Iterator[dict[str, Any]]:
        """The same, with the number of its file (`source`) in place of the file's name."""
        with sound(self.root), (self.root / "quarantine.jsonl").open("rb") as lines:
            yield from map(orjson.loads, lines)

    def own_columns(self) -> list[str]:
        """Names of the carried columns, without the prefix, in first-seen order."""
        with sound(self.root):
            schemas = [pq.read_schema(self.root / f"rows-{shard:05}.parquet") for shard in range(len(self.shards))]
        names = dict.fromkeys(name for schema in schemas for name in schema.names if name.startswith(OWN))
        return [name.removeprefix(OWN) for name in names]

    @contextmanager
    def take(
        self,
        rows: NDArray[np.uint32],
        columns: Sequence[str],
        *,
        spill: Path,
        advance: Callable[[int], None] = lambda rows: None,
    ) -> Iterator[list[Chunk]]:
        """The text of these rows in the order given, in chunks of some 8 MB; `advance` is told rows gathered.

        The pool is read once. What is more than can be held is dealt out to one file per chunk in `spill` (made and
        removed here), then each chunk is put in order by itself. Raises UsageError for a row that is not there, or a
        column that is none of TEXT.
        """
        rows = self._placed(rows)
        _refuse_no_text(columns)
        if not len(rows):
            yield []
            return
        sizes = np.cumsum(self.narrow(["text_bytes"])["text_bytes"].to_numpy()[rows], dtype=np.int64)
        size = int(sizes[-1])
        _, starts, chunk_of = np.unique(
            sizes // max(_CHUNK_BYTES, size // _MOST_CHUNKS), return_index=True, return_inverse=True
        )
        gathered = _telling(self._gather(rows, columns), advance)
        if size <= _HELD_BYTES:
            held = joined(gathered)
            place = np.split(np.argsort(held["at"].to_numpy()), starts[1:])
            yield _chunks(starts, sizes, [partial(_ordered, held, part) for part in place])
            return
        spill.mkdir(parents=True, exist_ok=True)
        try:
            paths = self._dealt(gathered, chunk_of, spill)
            yield _chunks(starts, sizes, [partial(_dealt_back, path) for path in paths])
        finally:
            shutil.rmtree(spill, ignore_errors=True)

    def few(self, rows: NDArray[np.uint32], columns: Sequence[str]) -> pl.DataFrame:
        """The text of a few rows, in the order given, all in memory. Raises as `take` does."""
        rows = self._placed(rows)
        _refuse_no_text(columns)
        return _in_place(joined([_nothing(columns), *self._gather(rows, columns)]))

    def asking(self, words: Sequence[str]) -> NDArray[np.bool_]:
        """Of each row whether its question holds all these words, in any case; the questions are read for it."""
        if isinstance(words, str):
            raise UsageError(f"asking takes several words; give [{words!r}]")
        held = [pl.col("question").str.contains(pl.lit(f"(?i){re.escape(word)}")) for word in words]
        asked = pl.all_horizontal(pl.col("question").is_not_null(), *held).fill_null(False).alias("")
        batches = (batch for shard in range(len(self.shards)) for batch in self.batches(["question"], shard=shard))
        found = [batch.select(asked).to_series().to_numpy() for batch in batches]
        return np.concatenate([np.empty(0, np.bool_), *found])

    def _placed(self, rows: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Rows that are there."""
        given = np.asarray(rows)
        if not given.size:
            return np.empty(0, np.uint32)
        if given.ndim != 1 or given.dtype.kind not in "iu":
            raise UsageError(f"rows are an array of whole numbers, of one dimension; got {given.dtype} {given.shape}")
        if not (given.min() >= 0 and given.max() < self.rows):
            gone = next(int(row) for row in given if not 0 <= row < self.rows)
            raise UsageError(f"the pool has {self.rows:,} rows, counted from 0; there is no {gone:,}")
        return given.astype(np.uint32)

    def _dealt(self, gathered: Iterator[pl.DataFrame], chunk_of: NDArray[np.intp], spill: Path) -> list[Path]:
        """The files of the chunks, each with its rows in the pool's order."""
        paths = [spill / f"{chunk:05}.arrow" for chunk in range(int(chunk_of[-1]) + 1)]
        with ExitStack() as stack:
            writers: dict[int, pa.RecordBatchWriter] = {}
            for piece in _together(gathered, _DEALT_BYTES):
                chunks = chunk_of[piece["at"].to_numpy()]
                order = np.argsort(chunks, kind="stable")
                batch = end_to_end(piece[order])
                numbers, starts = np.unique(chunks[order], return_index=True)
                for number, start, end in zip(numbers, starts, [*starts[1:], len(order)], strict=True):
                    if number not in writers:
                        writers[number] = stack.enter_context(pa.ipc.new_stream(str(paths[number]), batch.schema))
                    writers[number].write_batch(batch.slice(start, end - start))
        writers.clear()  # a file is closed with its writer's last name, and its space is free once it is unlinked
        return paths

    def _gather(self, rows: NDArray[np.uint32], columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Pool order; `at` is each row's place in the order asked for. Batches without such a row are not read."""
        with ThreadPoolExecutor(_READERS) as threads, sound(self.root):
            under_way: deque[Future[pl.DataFrame]] = deque()
            for wanted in self._wanted(rows):
                under_way.append(threads.submit(_picked, *wanted, columns))
                if len(under_way) > _READERS:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()

    def _wanted(self, rows: NDArray[np.uint32]) -> Iterator[tuple[Path, int, NDArray[np.int64], NDArray[np.int64]]]:
        """The batches that hold such rows: file, number, the rows within it, their places in `rows`."""
        order = np.argsort(rows, kind="stable")
        ordered = rows[order].astype(np.int64)
        for shard, first in enumerate(self.starts[:-1]):
            start, file = int(first), text_file(self.root, shard)
            if not np.diff(np.searchsorted(ordered, [start, start + self.shards[shard]]))[0]:
                continue
            for number, height in enumerate(heights(file)):
                low, high = np.searchsorted(ordered, [start, start + height])
                if high > low:
                    yield file, number, ordered[low:high] - start, order[low:high]
                start += height


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some of the rows that were asked for, next to one another: the place of the first, how many, bytes of all of
    their text, and how to read it, in any thread, once."""

    start: int
    rows: int
    text_bytes: int
    load: Callable[[], pl.DataFrame]


def _chunks(
    starts: NDArray[np.intp], sizes: NDArray[np.int64], loads: Sequence[Callable[[], pl.DataFrame]]
) -> list[Chunk]:
    """Chunks that begin at these places of rows whose `sizes` are added up."""
    ends = np.append(starts[1:], len(sizes))
    facts = zip(starts, ends - starts, np.diff(sizes[ends - 1], prepend=0), loads, strict=True)
    return [Chunk(int(start), int(rows), int(size), load) for start, rows, size, load in facts]


def _refuse_no_text(columns: Sequence[str]) -> None:
    if other := [name for name in columns if name not in TEXT]:
        raise UsageError(f"{other[0]} is no column of text; there are {', '.join(TEXT)}")


def _nothing(columns: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys([*columns], pl.String) | {"at": pl.Int64})


def _ordered(held: pl.DataFrame, part: NDArray[np.intp]) -> pl.DataFrame:
    return without(held[part], "at")


def _in_place(held: pl.DataFrame) -> pl.DataFrame:
    """The rows in the order of their column `at`, which goes."""
    return _ordered(held, np.argsort(held["at"].to_numpy()))


def _dealt_back(path: Path) -> pl.DataFrame:
    with pa.OSFile(str(path)) as file:
        table = pa.ipc.open_stream(file).read_all()
    path.unlink()
    return _in_place(joined(map(frame_of, table.to_batches())))


def _telling(pieces: Iterator[pl.DataFrame], advance: Callable[[int], None]) -> Iterator[pl.DataFrame]:
    """The same; `advance` is told the rows of each."""
    for piece in pieces:
        advance(piece.height)
        yield piece


def _together(pieces: Iterator[pl.DataFrame], size: int) -> Iterator[pl.DataFrame]:
    """The pieces in order, as many at once as make up `size` bytes."""
    held: list[pl.DataFrame] = []
    for piece in pieces:
        held.append(piece)
        if sum(one.estimated_size() for one in held) >= size:
            yield joined(held)
            held = []
    if held:
        yield joined(held)


def _picked(
    file: Path, number: int, rows: NDArray[np.int64], at: NDArray[np.int64], columns: Sequence[str]
) -> pl.DataFrame:
    """Rows of one batch, with a column `at`."""
    places = pl.Series(at, dtype=pl.Int64).to_arrow()  # pa.array would import pandas, where there is one
    return frame_of(pick(file, number, rows, columns).append_column("at", places))


def told_of(aside: Mapping[str, Any]) -> str:
    """One of `Pool.quarantine`, in a line: where it stands and why."""
    place = place_of(aside["source_row"], has_lines="line" in aside)
    return f"{aside['source_file']} {place}: {aside['reason']}"


def refuse_too_bad(pool: Pool, most: float) -> None:
    """Raise PoolError where no example is left, or more than the fraction `most` of the rows could not be used."""
    rows, bad = sum(part.rows for part in pool.parts), pool.bad_rows
    worst = next(pool.quarantine(), None)
    first = f" (first: {told_of(worst)})" if worst else ""
    if not pool.rows:
        raise PoolError(f"the pool holds no example{first}; give a file with rows, or name its columns with --columns")
    if bad > most * rows:
        raise PoolError(
            f"{bad:,} of {rows:,} rows cannot be used{first}; mend them, name other columns with --columns, "
            f"or allow it with --max-bad-fraction {min(1.0, bad / rows + 0.01):.2f}"
        )
