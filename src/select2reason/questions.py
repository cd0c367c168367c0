"""The distinct questions of a pool or a table, as a pool of their own: what a slow scorer reads, each question once.

Traces of one question share its difficulty. The shards are small, so that a run that is killed loses little: 512
questions are a quarter of a second on a GPU, two minutes on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
import polars as pl

from select2reason.cache import key_of
from select2reason.files import ARRAY_DAMAGE
from select2reason.parts import part_file, part_folder
from select2reason.pool import FORMAT, Pool
from select2reason.text_shards import TextWriter, end_to_end, text_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARD_QUESTIONS = 512
_BATCH = 128  # questions scored at once: progress is told after each


@dataclass(frozen=True, slots=True)
class Questions:
    """`pool` holds each distinct question once, in first-seen order (column `question`; a missing one is empty), or
    each distinct pair of question and gold answer (column `gold`, null where there is none); `of_row` (rows,) says
    which of them each row asks."""

    pool: Pool
    of_row: NDArray[np.int64]

    def to_rows(self, scores: pl.DataFrame) -> pl.DataFrame:
        """Scores of the questions as scores of the rows."""
        return scores[self.of_row]


def of_pool(pool: Pool, root: Path) -> Questions:
    """The questions of a pool; they are kept in the cache at `root`, and which row asks which beside the pool."""
    texts = partial(texts_of, pool)
    note = pool.root / f"question-of-row-{pl.__version__}.npy"
    hashes = _kept(note, pool.rows)
    if hashes is None:
        hashes = _hashes(map(pl.DataFrame, texts()))
        with part_file(note) as part:
            with part.open("wb") as file:
                np.save(file, hashes)
            part.replace(note)
    return _distinct(hashes, lambda: map(pl.DataFrame, texts()), root)


def _kept(note: Path, rows: int) -> NDArray[np.uint64] | None:
    """What was written down of these rows; None where nothing was, or something else."""
    try:
        hashes: NDArray[np.uint64] = np.load(note, allow_pickle=False)
    except ARRAY_DAMAGE:
        return None
    return hashes if hashes.shape == (rows,) and hashes.dtype == np.uint64 else None


def texts_of(pool: Pool) -> Iterator[pl.Series]:
    """Every row's question, in order, some at a time."""
    for shard in range(len(pool.shards)):
        for batch in pool.batches(["question"], shard=shard):
            yield batch["question"]


def of_column(questions: pl.Series, root: Path, *, golds: pl.Series | None = None) -> Questions:
    """The questions of a column of a table, with their gold answers if given; they are kept in the cache at `root`."""
    columns = [questions.rename("question"), *([] if golds is None else [golds.rename("gold")])]
    frame = pl.DataFrame(columns)
    return _distinct(_hashes(iter([frame])), lambda: iter([frame]), root)


def _hashes(texts: Iterator[pl.DataFrame]) -> NDArray[np.uint64]:
    """64 bits for each row: among a million questions, one chance in 30 million that any two are taken for one."""
    parts = [_texts(some).hash_rows(seed=0).to_numpy() for some in texts]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def _texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts throughout; a missing question is empty, a missing gold answer is null."""
    return frame.cast(pl.String).with_columns(pl.col("question").fill_null(""))


def _distinct(hashes: NDArray[np.uint64], texts: Callable[[], Iterator[pl.DataFrame]], root: Path) -> Questions:
    _, first, code = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    key = key_of(FORMAT, pl.__version__, SHARD_QUESTIONS, len(order), hashes[first[order]].tobytes().hex())
    folder = root / "questions" / key
    if not (folder / "pool.json").is_file():
        _write(folder, key, texts(), np.sort(first))
    return Questions(Pool.open(folder, []), number[code])


def _write(folder: Path, key: str, texts: Iterator[pl.DataFrame], first: NDArray[np.int64]) -> None:
    """Whole or not at all, whoever else writes the same."""
    with part_folder(folder) as part:
        shards, size = [], 0
        for shard, frame in enumerate(_shards(texts, first)):
            with TextWriter(text_file(part, shard), frame.columns, packed=True) as writer:
                for some in frame.iter_slices(_BATCH):
                    writer.write(end_to_end(some))
            shards.append(frame.height)
            size += int(frame["question"].str.len_bytes().sum())
        about = {"rows": sum(shards), "digest": key, "shards": shards, "text_bytes": size, "parts": []}
        (part / "pool.json").write_bytes(orjson.dumps({"format": FORMAT, **about}))
        with suppress(OSError):  # another run may have put the same questions there by now
            part.rename(folder)


def _shards(texts: Iterator[pl.DataFrame], first: NDArray[np.int64]) -> Iterator[pl.DataFrame]:
    held, start = pl.DataFrame(), 0
    for some in texts:
        low, high = np.searchsorted(first, [start, start + some.height])
        new = _texts(some)[first[low:high] - start]
        held = pl.concat([held, new]) if held.width else new
        start += some.height
        while held.height >= SHARD_QUESTIONS:
            yield held.head(SHARD_QUESTIONS)
            held = held.slice(SHARD_QUESTIONS)
    if held.height:
        yield held
