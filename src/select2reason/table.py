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
    from collections.abc import Collection

    from numpy.typing import NDArray

_NOT_MEASURED = ("looping", "no_answer", "language_switch", "contaminated")
_COLUMNS = (
    *("row", "difficulty", "trace_tokens", "trace_tokens_raw", "total_tokens", "rethinking_tokens"),
    *("looping", "cut_off", "no_trace", "no_answer", "wrong_answer", "language_switch", "contaminated"),
    *("duplicate", "over_cutoff", "question_group"),
)


def score_table(pool: Pool, traces: pl.DataFrame, difficulty: pl.DataFrame, *, cutoff_tokens: int) -> pl.DataFrame:
    """All that is known of each row, in pool order.

    traces: what trace.TraceScorer gives. difficulty: `difficulty` and whatever else its scorer adds.
    `wrong_answer` is the pool's own verdict, null where it has none; `over_cutoff` is null without a cutoff.
    """
    own = pool.narrow(["correct", "cut_off"])
    too_long = pl.col("total_tokens") > cutoff_tokens if cutoff_tokens else pl.lit(None, pl.Boolean)
    table = pl.concat([traces, own, difficulty], how="horizontal").with_columns(
        *(pl.lit(None, pl.Boolean).alias(name) for name in _NOT_MEASURED),
        row=pl.int_range(pl.len(), dtype=pl.UInt32),
        wrong_answer=~pl.col("correct").cast(pl.Boolean),
        cut_off=pl.col("cut_off").fill_null(False),
        duplicate=~pl.struct("question_key", "trace_key").is_first_distinct(),
        over_cutoff=too_long,
        question_group=_first_seen(traces["question_key"]),
    )
    return table.select(*_COLUMNS, *(name for name in difficulty.columns if name != "difficulty"))


def _first_seen(keys: pl.Series) -> pl.Series:
    """Keys as numbers from 0 in the order in which they first occur."""
    _, first, code = np.unique(keys.to_numpy(), return_index=True, return_inverse=True)
    number = np.empty(len(first), np.uint32)
    number[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.uint32)
    return pl.Series(number[code], dtype=pl.UInt32)


def candidates(table: pl.DataFrame, pool: Pool, *, dropping: Collection[str], one_generation: bool) -> Candidates:
    """What selection sees of the table. `one_generation`: of a row's generations only the first good one takes part."""
    flags = {name: table[name].fill_null(False).to_numpy() for name in ROW_RULES}
    dropped = first_reason(flags, active=dropping)
    if one_generation:
        dropped = _first_good_generation(pool, dropped, flags["cut_off"], unfinished_drop="cut_off" not in dropping)
    return Candidates(
        difficulty=table["difficulty"].fill_null(float("nan")).to_numpy(),
        trace_tokens=table["trace_tokens"].to_numpy(),
        total_tokens=table["total_tokens"].to_numpy(),
        rethinking_tokens=table["rethinking_tokens"].to_numpy(),
        question_group=table["question_group"].to_numpy(),
        category=_category_codes(pool),
        dropped=dropped,
    )


def _first_good_generation(
    pool: Pool, dropped: NDArray[np.int8], cut_off: NDArray[np.bool_], *, unfinished_drop: bool
) -> NDArray[np.int8]:
    """METHOD 9.6: of the generations of one pool row, the first that is complete and verified, else the first complete
    one without a verdict. The others are left out as `same_question`, unfinished ones as `cut_off`."""
    own = pool.narrow(["source", "source_row", "generation", "correct"])
    many = own["generation"].is_not_null().to_numpy()
    dropped = dropped.copy()
    if unfinished_drop:
        dropped[many & (dropped == ELIGIBLE) & cut_off] = REASONS.index("cut_off")
    frame = own.with_columns(
        at=pl.int_range(pl.len()),
        unverified=pl.col("correct").cast(pl.Boolean).is_null(),
        free=pl.Series(dropped == ELIGIBLE),
    ).filter("free", pl.col("generation").is_not_null())
    taken = frame.sort("unverified", "at", maintain_order=True).unique(["source", "source_row"], keep="first")["at"]
    later = many & (dropped == ELIGIBLE)
    later[taken.to_numpy()] = False
    dropped[later] = REASONS.index("same_question")
    return dropped


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
