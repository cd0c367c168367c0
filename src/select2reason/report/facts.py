"""What the page states in figures: totals, reasons, health, and what other strategies would have taken.

Everything comes from the score table (METHOD 9.12 names its reasons and flags). What was not measured stays
null and is counted, so that the page can say so; nothing here is ever filled in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from select2reason.report.study import finite

FLAGS: Mapping[str, str] = {
    "no_trace": "the trace is empty",
    "looping": "the trace repeats itself",
    "cut_off": "the trace was never closed, or the pool says that it ended early",
    "no_answer": "there is no final answer",
    "wrong_answer": "the pool's own flag says that the answer is wrong",
    "language_switch": "the trace changes to another language",
    "contaminated": "the question is in a benchmark",
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
    """One health flag; a side's share is null where it was measured for none of its examples."""

    name: str
    meaning: str
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
    return [Flag(f, why, *_true(pool[f]), *_true(chosen[f])) for f, why in FLAGS.items()]


def _true(flag: pl.Series) -> tuple[int, int]:
    return int(flag.sum()), flag.count()


@dataclass(frozen=True, slots=True)
class Alternative:
    """What another strategy would have taken, beside the selection."""

    name: str
    totals: Totals
    overlap: int | None  # examples in both; null for the selection itself
    overlap_share: float | None  # of what the other strategy takes
    jaccard: float | None
    looping: float | None  # share of the measured; null where not measured


def strategies(
    name: str,
    pool: pl.DataFrame,
    selection: pl.DataFrame,
    rows: Mapping[str, NDArray[np.uint32]],
    tail: float | None,
) -> Sequence[Alternative]:
    """The selection first, under its own `name`, then the others in the order given, by their `row`."""
    others = [_alternative(other, pool, selection, taken, tail) for other, taken in rows.items()]
    itself = Alternative(name, totals(selection, tail), None, None, None, _share(selection["looping"]))
    return [itself, *(other for other in others if not (other.name == name and other.jaccard == 1))]


def _alternative(
    name: str, pool: pl.DataFrame, selection: pl.DataFrame, rows: NDArray[np.uint32], tail: float | None
) -> Alternative:
    taken = pool.filter(pl.Series(np.isin(pool["row"].to_numpy(), rows)))
    overlap = int(np.isin(taken["row"].to_numpy(), selection["row"].to_numpy()).sum())
    union = taken.height + selection.height - overlap
    return Alternative(
        name=name,
        totals=totals(taken, tail),
        overlap=overlap,
        overlap_share=overlap / taken.height if taken.height else None,
        jaccard=overlap / union if union else None,
        looping=_share(taken["looping"]),
    )


def _share(flag: pl.Series) -> float | None:
    true, measured = _true(flag)
    return true / measured if measured else None
