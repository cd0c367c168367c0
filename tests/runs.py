"""Whole runs over small pools made here, in the OpenR1 layout."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from select2reason import pipeline
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings

from .conftest import WriteRows

PAPER = SelectSettings(fraction=Decimal("0.10"), preset="paper")
SAFE = SelectSettings(fraction=Decimal("0.5"))


def response(trace: str, answer: str) -> str:
    return f"<think>\n{trace}\n</think>\n\nThe answer is \\boxed{{{answer}}}."


def question_row(number: int, *, length: int = 1, **changes: object) -> dict[str, object]:
    trace = "\n\n".join(f"Step {i} of question {number}. Wait." for i in range(length))
    row: dict[str, object] = {
        "problem": f"What is {number} + {number}?",
        "answer": str(2 * number),
        "problem_type": "Algebra" if number % 2 else "Counting",
        "uuid": f"id-{number}",
        "pass_rate": 1 / (1 + number),
        "generations": [response(trace, str(2 * number))],
        "correctness_math_verify": [True],
        "finish_reasons": ["stop"],
    }
    return row | changes


def run(pool: Path, out: Path, chosen: SelectSettings = SAFE, **changes: Any) -> pl.DataFrame:
    scores = ScoreSettings(difficulty=changes.pop("difficulty", "column:pass_rate"))
    settings = replace(PoolSettings(pools=(str(pool),)), **changes)
    pipeline.select(settings, scores, chosen, out)
    return pl.read_parquet(out / "scores.parquet")


def data(out: Path) -> pl.DataFrame:
    return pl.read_parquet(out / "data" / "*.parquet")


def every_reason(write_rows: WriteRows) -> Path:
    """A pool with a row for each of several reasons."""
    rows = [question_row(number, length=number + 1) for number in range(8)]
    rows[1]["correctness_math_verify"] = [False]
    rows[2]["generations"] = ["<think>\nnever closed"]
    rows[3]["generations"] = ["<think>\n \n</think>\n\n\\boxed{6}."]
    rows.append(rows[0] | {"uuid": "again"})
    rows.append(question_row(4, length=9))
    return write_rows(rows)
