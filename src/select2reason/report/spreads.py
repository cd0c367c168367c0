"""The drawings of pool against selection, and of the rethinking study, each with its title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from select2reason.report import charts
from select2reason.report.distributions import Histogram, count_histogram, difficulty_histogram, length_histogram
from select2reason.report.study import Study


@dataclass(frozen=True, slots=True)
class Spread:
    """One distribution with its drawing; both are null where no example has a value."""

    title: str
    places: int  # of the medians
    missing: str  # what an example without a value lacks
    histogram: Histogram | None
    chart: Markup | None


def spreads(pool: pl.DataFrame, selection: pl.DataFrame | None) -> Sequence[Spread]:
    """Trace length, difficulty, length of the whole example, rethinking."""
    return (
        _lengths("Trace length", "trace_tokens", "trace tokens", "a trace", pool, selection),
        _even("Difficulty", difficulty_histogram(pool, selection), "difficulty (higher = harder)", "a difficulty", 2),
        _lengths("Whole examples", "total_tokens", "total tokens", "a count of tokens", pool, selection),
        _even(
            "Rethinking",
            count_histogram(pool, selection, "rethinking_tokens"),
            "rethinking tokens per trace",
            "a count of rethinking tokens",
            0,
        ),
    )


def _lengths(
    title: str, column: str, label: str, missing: str, pool: pl.DataFrame, selection: pl.DataFrame | None
) -> Spread:
    histogram = length_histogram(pool, selection, column)
    chart = None if histogram is None else charts.length_chart(histogram, label)
    return Spread(title, 0, missing, histogram, chart)


def _even(title: str, histogram: Histogram | None, label: str, missing: str, places: int) -> Spread:
    chart = None if histogram is None else charts.linear_chart(histogram, label, places)
    return Spread(title, places, missing, histogram, chart)


@dataclass(frozen=True, slots=True)
class StudyChart:
    """One drawing of the rethinking study, with its title."""

    title: str
    chart: Markup
    by_length: bool
    ends: bool  # it also draws the easiest and the hardest traces


def study_charts(study: Study) -> Sequence[StudyChart]:
    """By length, then by difficulty, each per trace and per 1,000 tokens; what has no group is not drawn."""
    drawn = []
    for per_1000, dense in ((False, ""), (True, ", per 1,000 tokens")):
        if study.by_length:
            chart, ends = charts.by_length_chart(study, per_1000=per_1000), bool(study.by_length_hardest)
            drawn.append(StudyChart(f"By trace length{dense}", chart, True, ends))
        if study.by_difficulty:
            chart = charts.by_difficulty_chart(study, per_1000=per_1000)
            drawn.append(StudyChart(f"By difficulty{dense}", chart, False, False))
    return drawn
