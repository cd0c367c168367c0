"""The plain figures at the top of the page; METHOD 9.5, 9.7 and 9.9 say what they count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from select2reason.comparing import Choice, Comparison
from select2reason.report import plain
from select2reason.report.facts import Totals
from select2reason.report.sentences import number, section


@dataclass(frozen=True, slots=True)
class Headline:
    """One figure with its name above and what it is measured against below."""

    name: str
    figure: str
    detail: str


def of_selection(
    pool: Totals, selection: Totals, eligible: int, tail: float | None, manifest: Mapping[str, object]
) -> Sequence[Headline]:
    """The selection's figures, each beside the pool's."""
    kept, chosen, tokens = (_part(*pair) for pair in _pairs(pool, selection, eligible))
    return (
        Headline("Pool", plain.count(pool.n), _read(manifest)),
        Headline("Eligible", plain.count(eligible), f"{kept} of the pool"),
        Headline("Selected", plain.count(selection.n), f"{chosen} of the eligible"),
        Headline(
            "Tokens",
            plain.compact(selection.tokens) if selection.n else "none",
            f"{tokens} of the pool's {plain.compact(pool.tokens)}",
        ),
        Headline("Median trace", _tokens(selection.median_trace), f"tokens; pool {_tokens(pool.median_trace)}"),
        Headline("Long tail", _share(selection.long_tail), _tail(pool, tail)),
        Headline(
            "Mean difficulty",
            _mean(selection.mean_difficulty),
            f"higher = harder; pool {_mean(pool.mean_difficulty)}",
        ),
        Headline("Rethinking", _mean(selection.mean_rethinking, 1), _rethinking(pool)),
    )


def of_pool(pool: Totals, questions: int | None, manifest: Mapping[str, object]) -> Sequence[Headline]:
    """The figures of a pool alone; `questions` is the number of question groups, null where not measured."""
    return (
        Headline("Pool", plain.count(pool.n), _read(manifest)),
        Headline("Questions", plain.count(questions), "groups of the same or nearly the same"),
        Headline("Tokens", plain.compact(pool.tokens), "of whole examples, as they are trained"),
        Headline("Median trace", _tokens(pool.median_trace), f"tokens; mean {_tokens(pool.mean_trace)}"),
        Headline("Mean difficulty", _mean(pool.mean_difficulty), f"{plain.count(pool.no_difficulty)} without"),
        Headline("Rethinking", _mean(pool.mean_rethinking, 1), "tokens per trace, mean"),
    )


def of_comparison(comparison: Comparison, manifest: Mapping[str, object]) -> Sequence[Headline]:
    """What was chosen from, how much of it, and how far the choices lie apart."""
    mine, eligible = comparison.choice(comparison.asked), comparison.eligible
    others = [other for other in comparison.choices if other is not mine and other.figures.n]
    nearest = max(others, key=lambda other: _in_common(mine, other), default=mine)
    rows = number(section(manifest, "pool").get("rows"))
    return (
        Headline("Pool", plain.count(rows), "examples"),
        Headline("Eligible", plain.count(eligible.n), f"{_part(eligible.n, int(rows or 0))} of the pool"),
        Headline("Taken", plain.count(mine.figures.n), f"{_part(mine.figures.n, eligible.n)} of the eligible"),
        Headline("Nearest", nearest.strategy, f"has {plain.share(_in_common(mine, nearest))} of {mine.strategy}"),
    )


def _in_common(mine: Choice, other: Choice) -> float:
    return mine.overlap[other.strategy].n / max(1, mine.figures.n)


def question_groups(pool: pl.DataFrame) -> int | None:
    """Number of question groups; null where the grouping was not measured."""
    measured = "question_group" in pool.columns and pool["question_group"].count()
    return pool["question_group"].drop_nulls().n_unique() if measured else None


def _pairs(pool: Totals, selection: Totals, eligible: int) -> Sequence[tuple[int | None, int | None]]:
    return (eligible, pool.n), (selection.n, eligible), (selection.tokens, pool.tokens)


def _part(some: int | None, whole: int | None) -> str:
    return plain.share(some / whole) if some is not None and whole else "none"


def _read(manifest: Mapping[str, object]) -> str:
    rows = number(section(manifest, "pool").get("rows"))
    return "examples" if rows is None else f"examples from {plain.count(rows)} rows"


def _tail(pool: Totals, tail: float | None) -> str:
    return f"of traces over {_tokens(tail)} tokens; pool {_share(pool.long_tail)}"


def _rethinking(pool: Totals) -> str:
    return f"tokens per trace, mean; pool {_mean(pool.mean_rethinking, 1)}"


def _tokens(value: float | None) -> str:
    return "none" if value is None else plain.count(value)


def _share(value: float | None) -> str:
    return "none" if value is None else plain.share(value)


def _mean(value: float | None, places: int = 2) -> str:
    return "none" if value is None else plain.decimal(value, places)
