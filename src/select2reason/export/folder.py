"""The chosen rows as a Hugging Face folder, with everything needed to check the choice and to make it again.

DIR/data/train-*.parquet, README.md (the dataset card), scores.parquet, manifest.json, report.html, quarantine.jsonl.
A folder is written under another name and put in place when whole; an earlier result is replaced only when asked for.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from select2reason.errors import OutputError
from select2reason.files import file_digest
from select2reason.parts import exchanged, part_folder
from select2reason.pool import OWN, TEXT, Pool
from select2reason.tags import answer_of
from select2reason.trace import SYSTEM_PROMPT

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["selection", "analysis", "comparison", "export", "model", "trial"]
"""What a folder holds; its manifest says so, and one kind never takes the place of another."""
CONTAMINATION = "contamination.parquet"
"""The file of evidence, where benchmarks were looked for: one row a hit."""
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
def whole_folder(out: Path, *, force: bool, kind: Kind) -> Iterator[Path]:
    """A folder to write into, put at `out` when the block ends well; see `check_out`."""
    check_out(out, force=force, kind=kind)
    out = _real(out)
    with part_folder(_hidden(out)) as part:
        yield part
        _put_in_place(part, out, force=force, kind=kind)


def check_out(out: Path, *, force: bool, kind: Kind) -> None:
    """Before any work: raise OutputError where `out` cannot be written, or holds anything but, with `force`, an earlier
    result of the same kind and nothing beside it."""
    _refuse_existing(out, force=force, kind=kind)
    try:
        with part_folder(_hidden(_real(out))):
            pass
    except OSError as error:
        raise OutputError(f"cannot write to {out.parent} ({error.strerror}); choose another --out") from error


def _real(out: Path) -> Path:
    return out.expanduser().resolve()


def _hidden(out: Path) -> Path:
    return out.with_name(f".{out.name}")


def _refuse_existing(out: Path, *, force: bool, kind: Kind) -> None:
    real = _real(out)
    if not real.exists() or (real.is_dir() and not any(real.iterdir())):
        return
    if not force:
        raise OutputError(f"{out} exists; choose another --out, or replace it with --force")
    if not _is_result(real, kind):
        raise OutputError(f"{out} is no earlier {kind}, or holds more than that; choose another --out")


def _is_result(folder: Path, kind: Kind) -> bool:
    """Whether a folder holds what this program wrote there, a result of this kind, and nothing else."""
    try:
        manifest = orjson.loads((folder / "manifest.json").read_bytes())
        ours = "select2reason" in manifest["versions"] and _kind(manifest) == kind
        known = {name.partition("/")[0] for name in manifest["outputs"]} | {"manifest.json"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return ours and {path.name for path in folder.iterdir()} <= known


def _kind(manifest: Mapping[str, Any]) -> str:
    """What a manifest is of; those of the first days did not say so."""
    early = "analysis" if "study.json" in manifest["outputs"] else "selection"
    return str(manifest.get("kind", early if "pool" in manifest else ""))


def _put_in_place(part: Path, out: Path, *, force: bool, kind: Kind) -> None:
    """Rename, or change places with what stands there, in one step; where a disk cannot do that, it is set aside first
    and, should the renaming fail, put back."""
    while not _renamed(part, out):  # something is there, and may have come there meanwhile
        _refuse_existing(out, force=force, kind=kind)
        if exchanged(part, out):
            return
        with part_folder(_hidden(out)) as aside, suppress(FileNotFoundError):
            old = out.rename(aside / "old")
            try:
                if _renamed(part, out):
                    return
            except BaseException:
                old.rename(out)
                raise


def _renamed(part: Path, out: Path) -> bool:
    """Whether `part` could take the place of nothing, or of an empty folder."""
    try:
        part.rename(out)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        return False
    return True


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
    table: pl.DataFrame,
    folder: Path,
    *,
    carried: Mapping[str, str],
    advance: Callable[[float], None],
) -> None:
    """Write the chosen rows, best first, as folder/data/train-XXXXX-of-XXXXX.parquet; `advance` is told rows done."""
    data = folder / "data"
    data.mkdir()
    beside = _beside(pool, rows, table, carried)
    per_file = max(1, int(_FILE_BYTES / max(1.0, pool.text_bytes / max(1, pool.rows))))
    files = max(1, -(-len(rows) // per_file))
    starts = np.linspace(0, len(rows), files + 1).astype(int)
    chunks = _told(_examples(pool, rows, beside, spill=folder / "spill"), advance)
    left = pl.DataFrame()
    with ThreadPoolExecutor(1) as compressing:
        for number in range(files):
            name = data / f"train-{number:05}-of-{files:05}.parquet"
            left = _write_file(name, left, chunks, int(starts[number + 1] - starts[number]), compressing)


def _told(chunks: Iterator[pl.DataFrame], advance: Callable[[float], None]) -> Iterator[pl.DataFrame]:
    for chunk in chunks:
        advance(chunk.height)
        yield chunk


def _write_file(
    path: Path, left: pl.DataFrame, chunks: Iterator[pl.DataFrame], rows: int, compressing: ThreadPoolExecutor
) -> pl.DataFrame:
    """Fill one file with `rows` rows from what is left of the last chunk and the next ones; what is left then. The next
    chunk is made while the one before is compressed."""
    writer: pq.ParquetWriter | None = None
    written: Future[None] | None = None
    while rows:
        if left.is_empty():
            left = next(chunks)
        now, left = left.head(rows), left.slice(rows)
        rows -= now.height
        table = now.to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or _writer(path, table.schema)
        if written:
            written.result()
        written = compressing.submit(writer.write_table, table, row_group_size=1000)
    if written:
        written.result()
    if writer:
        writer.close()
    return left


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


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, by its path within, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
