"""The report: one self-contained HTML page about a selection (METHOD 1-5, 9) or about a pool alone.

It brings aggregates, sentences and drawings together; `page.html.j2` lays them out. The page loads and runs
nothing: no script, no file, no network. Every text of the pool and of the manifest is escaped, and its
control characters are made visible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from markupsafe import Markup
from numpy.typing import NDArray

from select2reason.cost import FORMULA
from select2reason.report import charts, distributions, facts, headline, plain, sentences
from select2reason.report.findings import Finding
from select2reason.report.remake import remake
from select2reason.report.study import Study, rethinking_study

if TYPE_CHECKING:
    from jinja2 import Template

_QUESTION_CHARS = 1_000  # from each end; traces and answers have plain.EXCERPT_CHARS


@dataclass(frozen=True, slots=True)
class Examples:
    """Up to ten rows each, best first. Columns: row, question, trace, answer, gold, difficulty, trace_tokens,
    total_tokens, rethinking_tokens, rank_joint, reason. `nearly` came closest without being chosen."""

    best: pl.DataFrame
    nearly: pl.DataFrame


def selection_page(
    scores: pl.DataFrame,
    *,
    manifest: Mapping[str, object],
    examples: Examples,
    alternatives: Mapping[str, NDArray[np.uint32]],
    findings: Mapping[str, Sequence[Finding]] = MappingProxyType({}),
) -> str:
    """The page about a selection; `scores` has `selected` and `reason`, a row for every example of the pool.

    `alternatives` maps a strategy to the rows it would have taken at the same size, `findings` a rule to rows it flags.
    """
    pool = facts.complete(scores)
    selection = pool.filter(pl.col("selected"))
    tail = facts.tail_length(pool)
    sides = facts.totals(pool, tail), facts.totals(selection, tail)
    flags, eligible = facts.health(pool, selection), facts.eligible(pool)
    parameters = sentences.section(manifest, "parameters")
    own = sentences.selection_notes(sides[1], flags, manifest, eligible)
    return _render(
        _shared(pool, selection, manifest, findings),
        title="Selection report",
        headlines=headline.of_selection(*sides, eligible, tail, manifest),
        selection=sides[1],
        chosen=sentences.how_chosen(parameters),
        notes=[*own, *sentences.notes(pool, sides[0], flags, manifest)],
        reasons=facts.reasons(pool),
        strategies=facts.strategies(str(parameters.get("strategy", "")), pool, selection, alternatives, tail),
        examples=[("The best", _cards(examples.best)), ("Nearly chosen", _cards(examples.nearly))],
    )


def analysis_page(
    scores: pl.DataFrame,
    *,
    manifest: Mapping[str, object],
    findings: Mapping[str, Sequence[Finding]] = MappingProxyType({}),
) -> str:
    """The page about a pool without a selection; `findings` as for `selection_page`."""
    pool = facts.complete(scores)
    side = facts.totals(pool, facts.tail_length(pool))
    return _render(
        _shared(pool, None, manifest, findings),
        title="Pool report",
        headlines=headline.of_pool(side, headline.question_groups(pool), manifest),
        selection=None,
        notes=sentences.notes(pool, side, facts.health(pool, None), manifest),
    )


def _shared(
    pool: pl.DataFrame,
    selection: pl.DataFrame | None,
    manifest: Mapping[str, object],
    findings: Mapping[str, Sequence[Finding]],
) -> dict[str, object]:
    study, flags = rethinking_study(pool), facts.health(pool, selection)
    cutoff = int(sentences.number(sentences.section(manifest, "parameters").get("cutoff_len")) or 0)
    return {
        "pool_n": pool.height,
        "spreads": _spreads(pool, selection),
        "plane": distributions.plane(pool, selection),
        "study": study,
        "study_sentences": sentences.study_sentences(study),
        "study_charts": _study_charts(study),
        "flags": flags,
        "flag_shares": [0.0, *(s for flag in flags for s in (flag.pool_share, flag.selection_share) if s)],
        "findings": {flag.name: findings.get(flag.name, ()) for flag in flags} if findings else {},
        "benchmarks": facts.benchmarks(pool),
        "costs": facts.costs(pool, selection, cutoff),
        "cost_formula": FORMULA,
        "cutoff": cutoff,
        "remake": remake(manifest),
        "layout": sentences.section(manifest, "pool").get("layout"),
    }


@dataclass(frozen=True, slots=True)
class Spread:
    """One distribution with its drawing; both are null where no example has a value."""

    title: str
    places: int  # of the medians
    missing: str  # what an example without a value lacks
    histogram: distributions.Histogram | None
    chart: Markup | None


def _spreads(pool: pl.DataFrame, selection: pl.DataFrame | None) -> Sequence[Spread]:
    lengths = distributions.length_histogram(pool, selection)
    difficulties = distributions.difficulty_histogram(pool, selection)
    return (
        Spread("Trace length", 0, "a trace", lengths, None if lengths is None else charts.length_chart(lengths)),
        Spread(
            "Difficulty",
            2,
            "a difficulty",
            difficulties,
            None if difficulties is None else charts.difficulty_chart(difficulties),
        ),
    )


@dataclass(frozen=True, slots=True)
class StudyChart:
    """One drawing of the rethinking study, with its title."""

    title: str
    chart: Markup
    by_length: bool
    ends: bool  # it also draws the easiest and the hardest traces


def _study_charts(study: Study) -> Sequence[StudyChart]:
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


def _cards(examples: pl.DataFrame) -> Sequence[Card]:
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
    shown = [f"{name} {show(sentences.number(row.get(key)))}" for name, key, show in _FIGURES]
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


def _render(shared: Mapping[str, object], **own: object) -> str:
    plane = shared["plane"]
    drawn = charts.plane_chart(plane) if isinstance(plane, distributions.Plane) else None
    return _template().render({**shared, "plane_chart": drawn, **own})


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    page = Environment(
        autoescape=True,
        finalize=_shown,
        loader=PackageLoader("select2reason.report", "."),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    for show in (plain.count, plain.compact, plain.decimal, plain.share):
        page.filters[show.__name__] = show
    return page.get_template("page.html.j2")


def _shown(value: object) -> object:
    """What every expression of the template passes before it is escaped."""
    return plain.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
