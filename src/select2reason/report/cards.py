"""Examples to look at: each with its figures and as much of its text as fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from select2reason.report import plain
from select2reason.report.sentences import number

_QUESTION_CHARS = 1_000  # from each end; traces and answers have plain.EXCERPT_CHARS


@dataclass(frozen=True, slots=True)
class Card:
    """One example, cut to what fits."""

    place: int
    opening: str
    figures: Sequence[str]
    question: plain.Excerpt
    trace: plain.Excerpt
    answer: plain.Excerpt
    gold: plain.Excerpt | None


def cards(examples: pl.DataFrame) -> Sequence[Card]:
    """Up to ten, in their order."""
    return [_card(place, row) for place, row in enumerate(examples.head(10).iter_rows(named=True), start=1)]


def _card(place: int, row: Mapping[str, object]) -> Card:
    question, trace, answer, gold = (_text(row, name) for name in ("question", "trace", "answer", "gold"))
    return Card(
        place,
        plain.opening(question),
        _figures(row),
        plain.excerpt(question, _QUESTION_CHARS),
        plain.excerpt(trace),
        plain.excerpt(answer),
        None if gold is None else plain.excerpt(gold),
    )


def _figures(row: Mapping[str, object]) -> Sequence[str]:
    shown = [f"{name} {show(number(row.get(key)))}" for name, key, show in _FIGURES]
    reason = _text(row, "reason")
    return shown if reason in (None, "selected") else [*shown, str(reason)]


def _text(row: Mapping[str, object], name: str) -> str | None:
    value = row.get(name)
    return None if value is None else str(value)


def _difficulty(value: float | None) -> str:
    return "none" if value is None else plain.decimal(value, 3)


def _row(value: float | None) -> str:
    return "none" if value is None else f"{value:.0f}"


def _rank(value: float | None) -> str:
    return "none" if value is None else f"{value:,.10g}"


_FIGURES: Sequence[tuple[str, str, Callable[[float | None], str]]] = (
    ("difficulty", "difficulty", _difficulty),
    ("trace tokens", "trace_tokens", plain.count),
    ("rethinking tokens", "rethinking_tokens", plain.count),
    ("total tokens", "total_tokens", plain.count),
    ("joint rank", "rank_joint", _rank),
    ("row", "row", _row),
)
