"""Tables of questions: any file of rows that ask something, with its own columns kept as they are.

A pool has examples; a table has questions, labels, gold answers. Both are read by the same readers, so a pool can be
given wherever a table is wanted: its layout then tells where the question stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from select2reason import hub, layouts, readers, roles, sources
from select2reason.canonical import canonical, column_text, question_text
from select2reason.errors import OutputError, PoolError, UsageError, in_a_line
from select2reason.files import named
from select2reason.frames import LARGEST, Sample, stacked, telling
from select2reason.parts import hidden, part_file, refuse_unwritable
from select2reason.progress import say
from select2reason.readers import SAMPLE_ROWS

ROLES = ("question", "gold", "category", "pass_rate")


@dataclass(frozen=True, slots=True)
class Table:
    """`frame` holds the rows as they came, `question` and `gold` (null where there is none) are texts beside them.
    `asking` names the columns that the questions stand in, `gold_column` that of the gold answers, None where it is a
    chat, or none."""

    frame: pl.DataFrame
    question: pl.Series
    gold: pl.Series
    asking: Sequence[str]
    gold_column: str | None = None

    def column(self, name: str, option: str) -> pl.Series:
        """A column of numbers, null where a value is no finite number; `option` is what named it.

        Raises UsageError where there is no such column, or no number in it.
        """
        if name not in self.frame.columns:
            raise UsageError(f"{option} {name}: no such column; the table has {', '.join(self.frame.columns[:20])}")
        column = self.frame[name]
        if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.String)):
            raise UsageError(f"{option} {name}: it holds {column.dtype}, not numbers")
        numbers = column.cast(pl.Float64, strict=False)
        numbers = numbers.set(~(numbers.abs() < LARGEST).fill_null(False), None)
        if not numbers.count():
            shown = next((str(value)[:40] for value in column if value is not None), "nulls")
            raise UsageError(f"{option} {name}: it holds no finite number ({shown}); make a column of numbers of it")
        return numbers


def read_table(
    names: Sequence[str],
    *,
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
) -> Table:
    """Read files, folders, globs or Hub datasets, in order, as one table.

    `columns` maps ROLES to column names. Raises PoolError for a row that cannot be read (nothing may be lost here), and
    where no column asks anything, or not in every file.
    """
    columns = columns or {}
    if unknown := [role for role in columns if role not in ROLES]:
        raise UsageError(f"--columns knows no role {unknown[0]} here; roles are {', '.join(ROLES)}")
    files = _frames(names, split, config, revision)
    frame = _one(files, names)
    for role, column in columns.items():
        if column not in frame.columns:
            raise UsageError(f"{names[0]} has no column {column} for {role}; it has {', '.join(frame.columns[:20])}")
    table = _asking(frame, columns, names[0])
    for label, own in files:
        if own.height and (lacking := [name for name in table.asking if name not in own.columns]):
            told = f"the questions stand in {lacking[0]}, and {label} has no such column"
            hint = "give tables that ask in one way, or one at a time"
            raise PoolError(f"{told}; it has {', '.join(own.columns[:20])}; {hint}")
    return table


def read_frame(
    names: Sequence[str],
    *,
    needed: Mapping[str, str] | None = None,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
) -> pl.DataFrame:
    """Read files, folders, globs or Hub datasets, in order, as they are: whatever columns they have.

    `needed` maps what named a column to that column. Raises PoolError for a row that cannot be read, and where there is
    none; UsageError where a file lacks a needed column.
    """
    files = _frames(names, split, config, revision)
    for label, own in files:
        for option, column in (needed or {}).items():
            if own.height and column not in own.columns:
                told = f"{option} {column}: {label} has no such column"
                raise UsageError(f"{told}; it has {', '.join(own.columns[:20])}")
    return _one(files, names)


def _frames(
    names: Sequence[str], split: str | None, config: str | None, revision: str | None
) -> list[tuple[str, pl.DataFrame]]:
    """The label of each file, and its rows."""
    found = (hub.files_of(name, config=config, split=split, revision=revision) for name in names)
    return [(file.label, _frame(file)) for files in found for file in files]


def _one(files: Sequence[tuple[str, pl.DataFrame]], names: Sequence[str]) -> pl.DataFrame:
    frame = stacked([own for _, own in files])
    if not frame.height:
        raise PoolError(f"{names[0]} holds no row; give a table that has some")
    return frame


def _frame(file: sources.SourceFile) -> pl.DataFrame:
    def refuse(row: readers.BadRow) -> None:
        place = readers.place_of(row.source_row, has_lines=readers.has_lines(file))
        raise PoolError(f"{file.label} {place} cannot be read ({row.reason}); mend it or leave it out")

    return stacked([batch.frame for batch in readers.read(file, on_bad=refuse)])


def _asking(frame: pl.DataFrame, columns: Mapping[str, str], where: str) -> Table:
    nothing = pl.Series("gold", [None] * frame.height, dtype=pl.String)
    sample = telling([frame], SAMPLE_ROWS)
    asking = (columns["question"],) if "question" in columns else roles.question_columns(sample.common)
    if not asking:
        return _from_layout(frame, sample, where)
    free = sample.frame.select(name for name in sample.frame.columns if name not in asking)
    gold = columns.get("gold") or roles.named(
        free, roles.GOLD, [k for k in free.dtypes if k.is_numeric()] + [pl.String, pl.List]
    )
    say(f"questions: {'|'.join(asking)}{f', gold: {gold}' if gold else ''}, {frame.height:,} rows")
    answers = column_text(frame, gold).rename("gold") if gold else nothing
    return Table(frame, question_text(frame, asking).rename("question"), answers, asking, gold)


def _from_layout(frame: pl.DataFrame, sample: Sample, where: str) -> Table:
    """The questions of a pool whose rows are chats."""
    try:
        found = layouts.detect(sample.frame, rare=sample.rare, where=where)
    except PoolError as error:
        told = f"{where}: no column is known to ask; it has {', '.join(frame.columns[:20])}"
        raise PoolError(f"{told}; name it: --columns question=COLUMN,gold=COLUMN") from error
    read = canonical(found, frame).unique("position", keep="first", maintain_order=True)
    say(f"questions: from the layout {found}, {frame.height:,} rows")
    asking = found.question or found.turns or tuple(filter(None, [found.chat]))
    return Table(frame, read["question"], read["gold"], asking)


def beside(frame: pl.DataFrame, added: pl.DataFrame) -> pl.DataFrame:
    """A table with columns added at its right; an own column of a name that is added becomes NAME_input."""
    taken = set(frame.columns) | set(added.columns)
    renamed: dict[str, str] = {}
    for name in added.columns:
        if name in frame.columns:
            new = f"{name}_input"
            while new in taken:
                new += "_"
            taken.add(new)
            renamed[name] = new
    return pl.concat([frame.rename(renamed), added], how="horizontal")


def check_file(out: Path, *, force: bool, reads: Sequence[str] = ()) -> None:
    """Before any work: raise OutputError where FILE cannot be written, stands already without `force`, or is one of the
    files that are to be read (`reads`, as a user names them)."""
    if out.suffix not in (".parquet", ".jsonl"):
        raise OutputError(f"--out {out} is no .parquet or .jsonl file; give it one of these endings")
    if out.exists() and not (force and out.is_file()):
        raise OutputError(f"{out} exists; choose another --out, or replace it with --force")
    if (real := out.resolve()).exists() and any(place in (real, *real.parents) for _, place in named(reads)):
        raise OutputError(f"--out {out} is a file that is read; choose another --out")
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}; make it, or choose another --out")
    refuse_unwritable(out, out)


def read_own(file: Path, *, fix: str) -> pl.DataFrame:
    """A table that this program wrote. Raises UsageError, which names the file and the `fix`, where it is damaged."""
    try:
        return pl.read_parquet(file, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(f"{file} is damaged ({in_a_line(error)}); {fix}") from error


def write_table(frame: pl.DataFrame, out: Path) -> None:
    """Write a table as its name says, whole or not at all."""
    with part_file(hidden(out)) as part:
        if out.suffix == ".parquet":
            frame.write_parquet(part, compression="zstd")
        else:
            frame.write_ndjson(part)
        part.replace(out)
