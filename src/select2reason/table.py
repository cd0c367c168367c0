"""The score table of a pool: one row per example, from the measured traces, the pool's own flags and the difficulty.

Row rules are Boolean columns here, whatever is done with them later; one that is not measured in this version is null
throughout. The table never holds text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.errors import UsageError
from select2reason.pool import Pool
from select2reason.selection import ELIGIBLE, OUTCOMES, REASONS, ROW_RULES, Candidates, Selection, first_reason

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

_NOT_MEASURED = ("looping", "no_answer", "language_switch", "contaminated")
_COLUMNS = (
    *("row", "difficulty", "trace_tokens", "trace_tokens_raw", "total_tokens", "rethinking_tokens"),
    *("looping", "cut_off", "no_trace", "no_answer", "wrong_answer", "language_switch", "contaminated"),
    *("duplicate", "over_cutoff", "question_group"),
)


def score_table(
    pool: Pool, traces: pl.DataFrame, difficulty: pl.DataFrame, *, cutoff_tokens: int, dropping: Collection[str]
) -> pl.DataFrame:
    """All that is known of each row, in pool order.

    traces: what trace.TraceScorer gives. difficulty: `difficulty` and whatever else its scorer adds. `wrong_answer` is
    the pool's own verdict, null where it has none; `over_cutoff` is null without a cutoff. Of equal examples the first
    that no other rule in `dropping` drops is the original, the others are `duplicate`.
    """
    own = pool.narrow(["correct", "cut_off"])
    too_long = pl.col("total_tokens") > cutoff_tokens if cutoff_tokens else pl.lit(None, pl.Boolean)
    table = pl.concat([traces, own, difficulty], how="horizontal").with_columns(
        *(pl.lit(None, pl.Boolean).alias(name) for name in _NOT_MEASURED),
        row=pl.int_range(pl.len(), dtype=pl.UInt32),
        wrong_answer=~pl.col("correct").cast(pl.Boolean),
        cut_off=pl.col("cut_off").fill_null(False),
        over_cutoff=too_long,
        question_group=_first_seen(traces["question_key"]),
    )
    table = table.with_columns(duplicate=_duplicates(table, sorted(set(dropping) & set(ROW_RULES) - {"duplicate"})))
    return table.select(*_COLUMNS, *(name for name in difficulty.columns if name != "difficulty"))


def _duplicates(table: pl.DataFrame, rules: Sequence[str]) -> pl.Series:
    dropped = pl.any_horizontal(pl.lit(False), *(pl.col(rule).fill_null(False) for rule in rules))
    ordered = table.select("question_key", "trace_key", "row", dropped=dropped).sort("dropped", "row")
    repeated = ordered.select("row", duplicate=~pl.struct("question_key", "trace_key").is_first_distinct())
    return repeated.sort("row")["duplicate"]


def _first_seen(keys: pl.Series) -> pl.Series:
    """Keys as numbers from 0 in the order in which they first occur."""
    _, first, code = np.unique(keys.to_numpy(), return_index=True, return_inverse=True)
    number = np.empty(len(first), np.uint32)
    number[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.uint32)
    return pl.Series(number[code], dtype=pl.UInt32)


def candidates(table: pl.DataFrame, pool: Pool, *, dropping: Collection[str], one_generation: bool) -> Candidates:
    """What selection sees of the table. `one_generation`: the paper's recipe (METHOD 9.6), in which a row's generations
    compete before anything is ranked, and only there an unfinished one is dropped."""
    flags = {name: table[name].fill_null(False).to_numpy() for name in ROW_RULES}
    if one_generation:
        own = pool.narrow(["source", "source_row", "generation", "correct"])
        flags["cut_off"] = flags["cut_off"] & own["generation"].is_not_null().to_numpy()
    dropped = first_reason(flags, active=dropping)
    if one_generation:
        dropped[_later_generations(own, dropped, trusted="wrong_answer" in dropping)] = REASONS.index("same_question")
    return Candidates(
        difficulty=table["difficulty"].fill_null(float("nan")).to_numpy(),
        trace_tokens=table["trace_tokens"].to_numpy(),
        total_tokens=table["total_tokens"].to_numpy(),
        rethinking_tokens=table["rethinking_tokens"].to_numpy(),
        question_group=table["question_group"].to_numpy(),
        category=_category_codes(pool),
        dropped=dropped,
    )


def _later_generations(own: pl.DataFrame, dropped: NDArray[np.int8], *, trusted: bool) -> NDArray[np.intp]:
    """Of the generations of one pool row that are left, all but the first verified one, or but the first where none is
    verified or the verdicts are not trusted."""
    unverified = ~pl.col("correct").cast(pl.Boolean).fill_null(False) if trusted else pl.lit(False)
    left = own.with_columns(at=pl.int_range(pl.len()), unverified=unverified).filter(
        pl.Series(dropped == ELIGIBLE), pl.col("generation").is_not_null()
    )
    ordered = left.sort("unverified", "at")
    first = ordered.select(pl.struct("source", "source_row").is_first_distinct()).to_series()
    return ordered.filter(~first)["at"].to_numpy()


def _category_codes(pool: Pool) -> NDArray[np.int32]:
    """Categories as numbers in the order of their names; -1 where a row has none."""
    names = pool.narrow(["category"])["category"].cast(pl.String)
    order = {name: code for code, name in enumerate(sorted(names.drop_nulls().unique().to_list()))}
    return names.replace_strict(order, default=-1, return_dtype=pl.Int32).fill_null(-1).to_numpy()


def with_selection(table: pl.DataFrame, selection: Selection) -> pl.DataFrame:
    """The table with each row's ranks (null where a row rule dropped it), `selected` and `reason`."""
    ranks = {name: getattr(selection, name) for name in ("rank_difficulty", "rank_length", "rank_joint")}
    reason = pl.Series(np.array(OUTCOMES, dtype=object)[selection.reason], dtype=pl.String)
    return table.with_columns(
        **{name: pl.Series(rank).fill_nan(None) for name, rank in ranks.items()},
        selected=reason == "selected",
        reason=reason,
    )


def refuse_without_flags(pool: Pool) -> None:
    """For --verify pool: a pool that says nothing about its answers cannot be verified by itself."""
    if pool.narrow(["correct"])["correct"].null_count() == pool.rows:
        raise UsageError(
            "--verify pool, but the pool has no correctness flags; name them with --columns correct=COLUMN"
        )
