"""`select2reason difficulty`: a table of questions in, the same table with its difficulty out, row for row.

With labels it also says how far to trust the scorer: rank correlation with what is known already.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason import questions
from select2reason.difficulty.asking import ask
from select2reason.difficulty.estimators import Estimator
from select2reason.difficulty.validation import Validation, validate
from select2reason.errors import UsageError
from select2reason.scoring import RaySettings
from select2reason.tables import Table, beside, check_file, write_table
from select2reason.tokens import load_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLE = 2_000  # questions of which the estimator's notes judge what kind of table this is


@dataclass(frozen=True, slots=True)
class Assessment:
    """What came of scoring a table; `validation` is None without labels."""

    out: Path
    rows: int
    scored: int
    notes: tuple[str, ...]
    validation: Validation | None


def assess(
    table: Table,
    estimator: Estimator,
    out: Path,
    *,
    cache_root: Path,
    labels: str | None = None,
    pass_rates: bool = False,
    ray: RaySettings | None = None,
    force: bool = False,
) -> Assessment:
    """Score every question and write the table with `difficulty` (null where there is none) and what the scorer adds.

    An own column of a name that is written becomes NAME_input. `labels` names a column to compare with: higher =
    harder, with `pass_rates` lower = harder. Raises UsageError where a column of difficulties or labels is missing.
    """
    check_file(out, force=force)
    known = _labels(table, labels, pass_rates)
    scores = _scores(table, estimator, cache_root, ray)
    write_table(beside(table.frame, scores), out)
    difficulty = scores["difficulty"]
    checked = None
    if known is not None:
        tokens = load_tokenizer().count(table.question).astype(np.float64)
        checked = validate(difficulty.fill_null(np.nan).to_numpy(), known, tokens)
    sample = table.question.gather_every(max(1, len(table.question) // _SAMPLE)).head(_SAMPLE)
    notes = [*estimator.notes(scores, sample)]
    if known is not None and (seen := estimator.seen(table.question)):
        notes.append(seen)
    return Assessment(out, table.frame.height, difficulty.count(), tuple(notes), checked)


def _labels(table: Table, name: str | None, pass_rates: bool) -> NDArray[np.float64] | None:
    if name is None:
        if pass_rates:
            raise UsageError("--pass-rates says what --labels are; name their column with --labels COLUMN")
        return None
    column = table.column(name, "--labels")
    if pass_rates and len(wrong := column.filter(~column.is_between(0, 1))):
        raise UsageError(f"--labels {name}: pass rates must lie in 0..1; found {wrong[0]:g}")
    values = column.fill_null(np.nan).to_numpy()
    return np.asarray(1 - values if pass_rates else values)


def _scores(table: Table, estimator: Estimator, cache_root: Path, ray: RaySettings | None) -> pl.DataFrame:
    if estimator.of_questions is not None:
        return estimator.of_questions(table.question)
    if estimator.spec is None:  # the table's own
        own = table.column(estimator.name.removeprefix("column:"), "--difficulty column")
        return pl.DataFrame(own.cast(pl.Float64).alias("difficulty"))
    golds = table.gold if "gold" in estimator.spec.inputs else None
    return ask(questions.of_column(table.question, cache_root, golds=golds), estimator.spec, ray=ray)
