"""The benchmark problems that a pool holds, each with the question that comes closest to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from select2reason.report import plain

SHOWN_HITS = 20
_OPENING_CHARS = 100
_PROBLEM = ("benchmark", "problem", "kind")


@dataclass(frozen=True, slots=True)
class Hit:
    """A problem, and the question that comes closest to it: the same, or the same with other numbers."""

    benchmark: str
    problem: int  # its place in its benchmark, from 0
    kind: str
    overlap: float  # part of the problem's runs of words that the question has
    questions: int  # of the pool whose closest hit this is
    row: int  # of the closest one
    opening: str


def hits_to_show(closest: pl.DataFrame) -> pl.DataFrame:
    """Of `contamination.closest` one hit a problem and kind, with `questions`, how many there are of it: the same
    problem before other numbers, the most in common first."""
    order = [pl.col("kind") != "same problem", -pl.col("overlap"), pl.col("row")]
    counted = closest.with_columns(questions=pl.len().over(_PROBLEM))
    return counted.sort(order).unique(_PROBLEM, keep="first", maintain_order=True)


def hits(problems: pl.DataFrame, questions: pl.Series) -> Sequence[Hit]:
    """`problems` are some of `hits_to_show`, and `questions` those of their rows."""
    columns = problems.select("benchmark", "problem", "kind", "overlap", "questions", "row").iter_rows(named=True)
    return [
        Hit(**row, opening=plain.opening(question, _OPENING_CHARS))
        for row, question in zip(columns, questions, strict=True)
    ]
