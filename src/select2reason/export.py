"""The chosen rows as a Hugging Face folder, with everything needed to check the choice and to make it again.

DIR/data/train-*.parquet, README.md (the dataset card), scores.parquet, manifest.json, report.html, quarantine.jsonl.
A folder is written under another name and put in place when whole; an earlier result is replaced only when asked for.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
import polars as pl
import pyarrow.parquet as pq

from select2reason.errors import OutputError
from select2reason.pool import OWN, TEXT, Pool
from select2reason.tags import answer_of
from select2reason.trace import SYSTEM_PROMPT

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE_BYTES = 512 << 20  # of text in one data file, the customary size on the Hub
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


@contextmanager
def whole_folder(out: Path, *, force: bool) -> Iterator[Path]:
    """A folder to write into, put at `out` when the block ends well; see `refuse_existing`."""
    refuse_existing(out, force=force)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"cannot write to {out.parent} ({error.strerror}); choose another --out") from error
    try:
        yield part
        _put_in_place(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def refuse_existing(out: Path, *, force: bool) -> None:
    """Raise OutputError where `out` holds anything but, with `force`, an earlier result."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise OutputError(f"{out} exists; choose another --out, or replace it with --force")
    if not (out / "manifest.json").is_file():
        raise OutputError(f"{out} is no earlier result, so --force does not replace it; choose another --out")


def _put_in_place(part: Path, out: Path) -> None:
    if not out.exists():
        part.rename(out)
        return
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    out.rename(old)
    part.rename(out)
    shutil.rmtree(old)


def carried_names(pool: Pool, carry: Sequence[str] | str) -> dict[str, str]:
    """Carried column -> its name in the selection; one that would hide a column made here gets the suffix _input."""
    own = pool.own_columns()
    wanted = own if carry == "all" else [] if carry == "none" else list(carry)
    if missing := [name for name in wanted if name not in own]:
        raise OutputError(f"--carry {','.join(missing)}: the pool has {', '.join(own) or 'no columns of its own'}")
    taken = {*_MADE, *_SCORES}
    return {name: f"{name}_input" if name in taken else name for name in wanted}


def write_data(
    pool: Pool, rows: NDArray[np.uint32], table: pl.DataFrame, folder: Path, *, carried: Mapping[str, str]
) -> None:
    """Write the chosen rows, best first, as folder/data/train-XXXXX-of-XXXXX.parquet."""
    data = folder / "data"
    data.mkdir()
    beside = _beside(pool, rows, table, carried)
    per_file = max(1, int(_FILE_BYTES / max(1.0, pool.text_bytes / max(1, pool.rows))))
    files = max(1, -(-len(rows) // per_file))
    starts = np.linspace(0, len(rows), files + 1).astype(int)
    chunks = _examples(pool, rows, beside, spill=folder / "spill")
    left = pl.DataFrame()
    for number in range(files):
        name = data / f"train-{number:05}-of-{files:05}.parquet"
        left = _write_file(name, left, chunks, int(starts[number + 1] - starts[number]))


def _write_file(path: Path, left: pl.DataFrame, chunks: Iterator[pl.DataFrame], rows: int) -> pl.DataFrame:
    """Fill one file with `rows` rows from what is left of the last chunk and the next ones; what is left then."""
    writer: pq.ParquetWriter | None = None
    while rows:
        if left.is_empty():
            left = next(chunks)
        now, left = left.head(rows), left.slice(rows)
        rows -= now.height
        table = now.to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd", compression_level=1)
        writer.write_table(table, row_group_size=1000)
    if writer:
        writer.close()
    return left


def _beside(pool: Pool, rows: NDArray[np.uint32], table: pl.DataFrame, carried: Mapping[str, str]) -> pl.DataFrame:
    """The narrow columns of the chosen rows, in their order."""
    own = pool.narrow(["category", "source", "source_row", "generation", *(OWN + name for name in carried)])[rows]
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


def _examples(pool: Pool, rows: NDArray[np.uint32], beside: pl.DataFrame, *, spill: Path) -> Iterator[pl.DataFrame]:
    start = 0
    for text in pool.take(rows, TEXT, spill=spill):
        yield pl.concat([as_examples(text), beside.slice(start, text.height)], how="horizontal")
        start += text.height


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


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Indented JSON, keys in the order given."""
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY, default=str) + b"\n")


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, by its path within, sorted."""
    digests = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as stream:
            digests[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests
