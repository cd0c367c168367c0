"""What the page states in figures: totals, reasons, health, cost, benchmark problems.

Everything comes from the score table (METHOD 9.12 names its reasons and flags). What was not measured stays
null and is counted, so that the page can say so; nothing here is ever filled in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from select2reason.cost import gpu_hours
from select2reason.report.study import finite

FLAGS: Mapping[str, str] = {
    "no_trace": "the trace is empty",
    "looping": "the trace goes on saying what it has said",
    "cut_off": "never closed, ended early by the pool's word, or stopped in mid-sentence at its length ceiling",
    "damaged_tags": "think tags are nested or come twice, or a chat's turns are marked in its midst",
    "no_answer": "there is a gold answer, and no final answer",
    "wrong_answer": "the answer is wrong, by the pool's own flag or by the gold answer",
    "language_switch": "a passage of the trace is in another script than the rest and the question",
    "runs_on": "the reply goes on for long after its final answer, or asks itself another question",
    "contaminated": "the question is a problem of a benchmark",
    "duplicate": "same question and trace as an earlier example",
    "over_cutoff": "longer than the trainer's cutoff",
}
REASONS: Mapping[str, str] = {
    "selected": "chosen",
    **FLAGS,
    "same_question": "its question already has as many traces as allowed",
    "over_budget": "did not fit into what was left of the token budget",
    "ranked_below": "eligible, but others ranked higher",
}
SWITCHES: Mapping[str, str] = {
    **{name: f"--keep {name}" for name in FLAGS},
    "over_cutoff": "--cutoff-len 0",
}
"""What keeps the rows that a rule speaks against."""
_COUNTS = ("trace_tokens", "trace_tokens_raw", "total_tokens", "rethinking_tokens")
_TAIL = 0.9  # the long tail: longer than nine tenths of the pool's traces


def complete(scores: pl.DataFrame) -> pl.DataFrame:
    """The score table with every column the page reads; absent ones null, counts i64: sums must not wrap."""
    absent = [pl.lit(None).alias(name) for name in (*_COUNTS, *FLAGS, "difficulty") if name not in scores.columns]
    return scores.with_columns(absent).with_columns(
        pl.col(_COUNTS).cast(pl.Int64), pl.col(list(FLAGS)).cast(pl.Boolean), difficulty=finite("difficulty")
    )


@dataclass(frozen=True, slots=True)
class Totals:
    """One side's plain figures. Means and medians skip nulls and are null where nothing is left."""

    n: int
    tokens: int | None  # of the whole examples; null where none was counted
    trace_tokens: int | None
    median_trace: float | None
    mean_trace: float | None
    mean_rethinking: float | None
    mean_difficulty: float | None
    no_difficulty: int
    long_tail: float | None  # share of examples whose trace is longer than `tail`


def tail_length(pool: pl.DataFrame) -> float | None:
    """The trace length that nine tenths of the pool's examples do not exceed."""
    return pool.select(pl.col("trace_tokens").quantile(_TAIL, "lower").cast(pl.Float64)).item()  # type: ignore[no-any-return]


def totals(examples: pl.DataFrame, tail: float | None) -> Totals:
    """`tail` is the pool's, for both sides; null where no trace has a length."""
    measured = examples.select(
        tokens=_sum("total_tokens"),
        trace_tokens=_sum("trace_tokens"),
        median_trace=pl.col("trace_tokens").median(),
        mean_trace=pl.col("trace_tokens").mean(),
        mean_rethinking=pl.col("rethinking_tokens").mean(),
        mean_difficulty=pl.col("difficulty").mean(),
        no_difficulty=pl.col("difficulty").null_count(),
        long_tail=(pl.col("trace_tokens") > pl.lit(tail, pl.Float64)).mean(),
    )
    return Totals(n=examples.height, **measured.row(0, named=True))


def _sum(column: str) -> pl.Expr:
    return pl.when(pl.col(column).count() > 0).then(pl.col(column).sum())


def eligible(pool: pl.DataFrame) -> int:
    """Examples that no row rule dropped (METHOD 9.5): those that have ranks."""
    return pool.height - pool["rank_joint"].null_count()


@dataclass(frozen=True, slots=True)
class Reason:
    """How many examples of the pool have this reason."""

    name: str
    meaning: str
    n: int
    share: float  # of the pool


def reasons(pool: pl.DataFrame) -> Sequence[Reason]:
    """In the order of METHOD 9.12, `selected` first; reasons that no example has are left out."""
    counts = dict(pool.group_by("reason").len().iter_rows())
    order = [*REASONS, *sorted(str(name) for name in counts if name not in REASONS)]
    named = {str(name): int(n) for name, n in counts.items()}
    return [Reason(r, REASONS.get(r, ""), named[r], named[r] / pool.height) for r in order if r in named]


@dataclass(frozen=True, slots=True)
class Flag:
    """One health flag; a side's share is null where it was measured for none of its examples. `dropped` examples were
    left out for it first of all; `switch` is the option that keeps them."""

    name: str
    meaning: str
    switch: str
    dropped: int
    pool: int
    pool_measured: int
    selection: int
    selection_measured: int

    @property
    def pool_share(self) -> float | None:
        return self.pool / self.pool_measured if self.pool_measured else None

    @property
    def selection_share(self) -> float | None:
        return self.selection / self.selection_measured if self.selection_measured else None


def health(pool: pl.DataFrame, selection: pl.DataFrame | None) -> Sequence[Flag]:
    """Every flag of METHOD 9.12, whatever the reason says."""
    chosen = pool.clear() if selection is None else selection
    dropped = dict(pool["reason"].value_counts().iter_rows()) if "reason" in pool.columns else {}
    return [
        Flag(f, why, SWITCHES[f], dropped.get(f, 0), *_true(pool[f]), *_true(chosen[f])) for f, why in FLAGS.items()
    ]


def flag_counts(pool: pl.DataFrame) -> dict[str, dict[str, int]]:
    """For each flag the examples for which it holds and those for which it was measured."""
    return {flag.name: {"flagged": flag.pool, "measured": flag.pool_measured} for flag in health(complete(pool), None)}


def _true(flag: pl.Series) -> tuple[int, int]:
    return int(flag.sum()), flag.count()


@dataclass(frozen=True, slots=True)
class Cost:
    """What one epoch over some examples takes (`cost.gpu_hours`)."""

    name: str
    n: int
    tokens: int
    hours: float


def costs(pool: pl.DataFrame, selection: pl.DataFrame | None, cutoff_tokens: int) -> Sequence[Cost]:
    """Of the pool and, where there is a selection, of the eligible examples and of those selected."""
    sides = {"pool": pool}
    if selection is not None:
        sides |= {"eligible": pool.filter(pl.col("rank_joint").is_not_null()), "selected": selection}
    return [_cost(name, side["total_tokens"], cutoff_tokens) for name, side in sides.items()]


def _cost(name: str, tokens: pl.Series, cutoff_tokens: int) -> Cost:
    return Cost(name, len(tokens), int(tokens.sum()), gpu_hours(tokens, cutoff_tokens=cutoff_tokens))


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Examples of the pool that are a problem of it, word for word or with other numbers."""

    name: str
    same: int
    other_numbers: int


def benchmarks(pool: pl.DataFrame) -> Sequence[Benchmark]:
    """Those with hits, the most first; each example counts for the benchmark of its closest hit."""
    if "benchmark" not in pool.columns or not pool["benchmark"].count():
        return []
    counts = (
        pool.filter(pl.col("benchmark").is_not_null())
        .group_by("benchmark")
        .agg(pl.col("contaminated").sum(), pl.col("other_numbers").sum())
    )
    ordered = counts.sort("contaminated", "other_numbers", "benchmark", descending=[True, True, False])
    return [Benchmark(name, same, other) for name, same, other in ordered.iter_rows()]
