"""`select2reason grade`: a table of predictions and gold answers in, the same table with `correct` out, row for row.

A prediction is a completion, of which the final answer counts, or that answer itself: a text without any marker is
taken whole unless it is too long for an answer. A column of lists (several generations a row) gives lists of verdicts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from select2reason import tags
from select2reason.errors import UsageError
from select2reason.frames import as_text, texts
from select2reason.grading.extract import LONGEST_ANSWER, final_answer
from select2reason.grading.grader import Grader, verdicts
from select2reason.progress import stage
from select2reason.tables import beside, check_file, write_table

CORRECT, _TAKEN = "correct", "taken"
_BOX = re.compile(r"\\+f?box")
_BATCH = 2_048  # rows in the hands of the workers at once


@dataclass(frozen=True, slots=True)
class Grades:
    """What came of a table. Of `answers` predictions, `right`, `wrong` and `not_judged` are all; of the wrong ones
    `missing` are null or blank. `share_right` is over those that could be judged, None where there is none. Rows of a
    column of lists that hold no prediction are `without`."""

    out: Path
    rows: int
    without: int
    answers: int
    right: int
    wrong: int
    missing: int
    not_judged: int
    share_right: float | None


def grade_table(
    frame: pl.DataFrame,
    out: Path,
    *,
    prediction: str,
    gold: str,
    taken: str | None = None,
    workers: int | None = None,
    force: bool = False,
) -> Grades:
    """Grade each row's prediction against its gold answer and write the columns of `frame` and `correct`: true right,
    false wrong, null cannot be judged.

    `taken` names a column more, for the answer that was taken from each prediction (null: none). An own column of a
    name that is written becomes NAME_input. Raises UsageError where a column is missing, or holds no text, number or
    list of these.
    """
    if taken is not None and (not taken.strip() or taken == CORRECT):
        raise UsageError(f"--taken {taken!r}: give the column of taken answers a name of its own, other than {CORRECT}")
    check_file(out, force=force)
    given, golds = _column(frame, prediction, "--prediction"), _column(frame, gold, "--gold")
    if golds.dtype == pl.List(pl.String):
        raise UsageError(f"--gold {gold}: it holds lists; give a column with one answer a row")
    with Grader(workers) as grader, stage("grading", frame.height) as advance:
        parts = []
        for start in range(0, frame.height, _BATCH):
            parts.append(_graded(given.slice(start, _BATCH), golds.slice(start, _BATCH), grader))
            advance(parts[-1].height)
    graded = pl.concat(parts)
    added = [graded[CORRECT], *([] if taken is None else [graded[_TAKEN].rename(taken)])]
    write_table(beside(frame, pl.DataFrame(added)), out)
    return _counted(out, given, graded[CORRECT])


def _column(frame: pl.DataFrame, name: str, option: str) -> pl.Series:
    if name not in frame.columns:
        raise UsageError(f"{option} {name}: no such column; the table has {', '.join(frame.columns[:20])}")
    column = frame[name]
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if isinstance(column.dtype, pl.List) and not column.dtype.inner.is_nested():
        rows = [None if row is None else [as_text(one) for one in row] for row in column.to_list()]
        return pl.Series(name, rows, dtype=pl.List(pl.String))
    if column.dtype.is_nested():
        raise UsageError(f"{option} {name}: it holds {column.dtype}; give a column of texts, or of lists of texts")
    return texts(column)


def _graded(given: pl.Series, golds: pl.Series, grader: Grader) -> pl.DataFrame:
    """The verdict of each prediction and the answer that was taken from it, in lists where they came in lists."""
    listed = given.dtype == pl.List(pl.String)
    rows: list[list[str | None] | None] = given.to_list() if listed else [[text] for text in given]
    taken = [[said(text) for text in row or []] for row in rows]
    told = verdicts(taken, golds, grader)
    if listed:
        found = [(None, None) if row is None else both for row, *both in zip(rows, told, taken, strict=True)]
        schema = {CORRECT: pl.List(pl.Boolean), _TAKEN: pl.List(pl.String)}
        return pl.DataFrame(found, schema, orient="row")
    alone = [(verdict, one) for (verdict,), (one,) in zip(told, taken, strict=True)]
    return pl.DataFrame(alone, {CORRECT: pl.Boolean, _TAKEN: pl.String}, orient="row")


def said(prediction: str | None) -> str | None:
    """The final answer of a prediction; the whole of it where it has no marker and is no longer than an answer can be,
    and nothing that is still thought, explained, or an empty box."""
    found = None if prediction is None else final_answer(prediction)
    if prediction is None or found is not None:
        return found
    unfinished = _BOX.search(prediction) or any(tag in prediction for pair in tags.TAGS for tag in pair)
    return None if unfinished or len(prediction.strip()) > LONGEST_ANSWER else prediction


def _counted(out: Path, given: pl.Series, correct: pl.Series) -> Grades:
    every = pl.DataFrame([_flat(given).alias("given"), _flat(correct).alias("correct")])
    judged = every.filter(pl.col("correct").is_not_null())
    blank = judged["given"].fill_null("").str.strip_chars() == ""
    right = int(judged["correct"].sum())
    return Grades(
        out=out,
        rows=len(correct),
        without=sum(row is None or not row for row in given.to_list()) if isinstance(given.dtype, pl.List) else 0,
        answers=every.height,
        right=right,
        wrong=judged.height - right,
        missing=int(blank.sum()),
        not_judged=every.height - judged.height,
        share_right=right / judged.height if judged.height else None,
    )


def _flat(column: pl.Series) -> pl.Series:
    listed = isinstance(column.dtype, pl.List)
    return column.explode(empty_as_null=False, keep_nulls=False) if listed else column
