"""The report: one self-contained HTML page about a selection (METHOD 1-5, 9), a pool alone, or all strategies.

It brings aggregates, sentences and drawings together; `page.html.j2` lays them out, a partial of its own for each
section. The page loads and runs nothing: no script, no file, no network. Every text of the pool and of the manifest is
escaped, and its control characters are made visible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from select2reason.comparing import Comparison
from select2reason.cost import FORMULA
from select2reason.report import facts, headline, sentences
from select2reason.report.beside import beside
from select2reason.report.cards import cards
from select2reason.report.categories import categories
from select2reason.report.findings import Finding
from select2reason.report.hits import Hit
from select2reason.report.plane import plane, plane_chart
from select2reason.report.remake import remake
from select2reason.report.spreads import spreads, study_charts
from select2reason.report.study import rethinking_study

_SECTIONS = {
    "reasons": "Kept and left out",
    "spread": "Length and difficulty",
    "categories": "Categories",
    "rethinking": "Rethinking",
    "health": "Health",
    "cost": "Cost",
    "strategies": "Strategies",
    "sweep": "Weights and sizes",
    "examples": "Examples",
    "again": "Make it again",
}
"""Each has a partial of its name, and a name in the list of contents."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Up to ten rows each, best first. Columns: row, question, trace, answer, gold, difficulty, trace_tokens,
    total_tokens, rethinking_tokens, rank_joint, reason. `nearly` came closest without being chosen."""

    best: pl.DataFrame
    nearly: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows of the pool's texts: by rule some rows it flags, benchmark problems with their closest
    questions and how many more problems there are, and every row's category (null = none)."""

    findings: Mapping[str, Sequence[Finding]] = field(default_factory=dict)
    hits: Sequence[Hit] = ()
    more_problems: int = 0
    category: pl.Series | None = None


def selection_page(
    scores: pl.DataFrame,
    *,
    manifest: Mapping[str, object],
    examples: Examples,
    comparison: Comparison | None,
    shown: Shown | None = None,
) -> str:
    """The page about a selection; `scores` has `selected` and `reason`, a row for every example of the pool."""
    pool = facts.complete(scores)
    selection = pool.filter(pl.col("selected"))
    tail = facts.tail_length(pool)
    sides = facts.totals(pool, tail), facts.totals(selection, tail)
    flags, eligible = facts.health(pool, selection), facts.eligible(pool)
    own = sentences.selection_notes(sides[1], flags, manifest, eligible)
    return _render(
        [name for name in _SECTIONS if name != "sweep" or comparison is not None],
        _of_pool(pool, selection, manifest, shown or Shown()),
        title="Selection report",
        headlines=headline.of_selection(*sides, eligible, tail, manifest),
        selection=sides[1],
        chosen=sentences.how_chosen(sentences.section(manifest, "parameters")),
        notes=[*own, *sentences.notes(pool, sides[0], flags, manifest)],
        reasons=facts.reasons(pool),
        beside=None if comparison is None else beside(comparison),
        examples=[("The best", cards(examples.best)), ("Nearly chosen", cards(examples.nearly))],
    )


def analysis_page(scores: pl.DataFrame, *, manifest: Mapping[str, object], shown: Shown | None = None) -> str:
    """The page about a pool without a selection."""
    pool = facts.complete(scores)
    side = facts.totals(pool, facts.tail_length(pool))
    return _render(
        ["spread", "categories", "rethinking", "health", "cost", "again"],
        _of_pool(pool, None, manifest, shown or Shown()),
        title="Pool report",
        headlines=headline.of_pool(side, headline.question_groups(pool), manifest),
        selection=None,
        notes=sentences.notes(pool, side, facts.health(pool, None), manifest),
    )


def comparison_page(comparison: Comparison, *, manifest: Mapping[str, object], notes: Sequence[str] = ()) -> str:
    """The page about all strategies, weights and sizes."""
    return _render(
        ["strategies", "sweep", "again"],
        _of_manifest(manifest),
        title="Comparison of strategies",
        headlines=headline.of_comparison(comparison, manifest),
        selection=None,
        chosen=sentences.how_compared(sentences.section(manifest, "parameters")),
        notes=[sentences.as_sentence(note) for note in notes],
        beside=beside(comparison),
    )


def _of_pool(
    pool: pl.DataFrame, selection: pl.DataFrame | None, manifest: Mapping[str, object], shown: Shown
) -> dict[str, object]:
    study, flags = rethinking_study(pool), facts.health(pool, selection)
    drawn = plane(pool, selection, _joint_weight(manifest))
    selected = None if selection is None else pool["selected"]
    named = [] if shown.category is None else categories(shown.category, selected)
    return {
        **_of_manifest(manifest),
        "pool_n": pool.height,
        "spreads": spreads(pool, selection),
        "plane": drawn,
        "plane_chart": None if drawn is None else plane_chart(drawn),
        "categories": named,
        "study": study,
        "study_sentences": sentences.study_sentences(study),
        "study_charts": study_charts(study),
        "flags": flags,
        "flag_shares": [0.0, *(s for flag in flags for s in (flag.pool_share, flag.selection_share) if s)],
        "shown": shown,
        "benchmarks": facts.benchmarks(pool),
        "costs": facts.costs(pool, selection, _cutoff(manifest)),
    }


def _of_manifest(manifest: Mapping[str, object]) -> dict[str, object]:
    return {
        "cost_formula": FORMULA,
        "cutoff": _cutoff(manifest),
        "remake": remake(manifest),
        "layout": sentences.section(manifest, "pool").get("layout"),
        "chosen": (),
        "categories": (),
    }


def _cutoff(manifest: Mapping[str, object]) -> int:
    return int(sentences.number(sentences.section(manifest, "parameters").get("cutoff_len")) or 0)


def _joint_weight(manifest: Mapping[str, object]) -> float | None:
    """The weight of the joint rank; null where another strategy chose."""
    parameters = sentences.section(manifest, "parameters")
    return sentences.number(parameters.get("weight")) if parameters.get("strategy") == "joint" else None


def _render(sections: Sequence[str], shared: Mapping[str, object], **own: object) -> str:
    from select2reason.report.templates import page_template  # Jinja is loaded once there is something to draw

    held = [name for name in sections if name != "categories" or shared["categories"]]
    contents = {name: _SECTIONS[name] for name in held}
    return page_template().render({**shared, **own, "sections": contents})
