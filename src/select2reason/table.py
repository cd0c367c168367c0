"""The score table: one row per example, from traces, questions, verdicts, the pool's own flags and the difficulty.

Row rules are Boolean columns here, whatever is done with them later; null where a rule was not asked. The table never
holds text of the pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.contamination import closest
from select2reason.contamination.overlap import OTHER_NUMBERS, SAME
from select2reason.frames import blank, repeated
from select2reason.health.endings import Ceiling, at_ceiling, ceilings
from select2reason.health.loops import looping
from select2reason.near_duplicates import question_groups
from select2reason.pool import Pool
from select2reason.reasons import ELIGIBLE, OUTCOMES, REASONS, ROW_RULES, first_reason
from select2reason.selection import Candidates, Selection
from select2reason.trace import OUTPUTS
from select2reason.verification import Verified

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

_COLUMNS = (
    *("row", "difficulty", "trace_tokens", "trace_tokens_raw", "total_tokens", "rethinking_tokens"),
    *("looping", "cut_off", "no_trace", "damaged_tags", "no_answer", "wrong_answer", "language_switch", "runs_on"),
    *("contaminated", "duplicate", "over_cutoff", "question_group"),
    *("loop_share", "loop_start", "benchmark", "other_numbers"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What the scorers gave, each a frame with one row an example, in pool order. `evidence` has one row a hit
    (`contamination.evidence`), and is None where no benchmark was looked for; `traces` may hold lengths alone, and
    `questions` is None where they were not compared."""

    traces: pl.DataFrame
    questions: pl.DataFrame | None
    difficulty: pl.DataFrame
    verified: Verified
    evidence: pl.DataFrame | None = None


def score_table(
    pool: Pool,
    measured: Measured,
    *,
    ceilings: Sequence[Ceiling] | None,
    cutoff_tokens: int,
    dropping: Collection[str],
) -> pl.DataFrame:
    """All that is known of each row, in pool order; what was not measured is null.

    `cut_off`: never closed, said by the pool to have ended early, or ended in mid-sentence at one of `ceilings` (None:
    not looked for).
    `wrong_answer` and `no_answer` are null where there is no verdict, or no gold answer to compare with; an answer that
    was found right is there. `over_cutoff` is null without a cutoff. `benchmark` names that of the closest hit, and
    `other_numbers` says that it is one of its problems with other numbers. Of equal examples the first that no other
    rule in `dropping` drops is the original, the others are `duplicate`.
    """
    own, unknown = pool.narrow(["cut_off"]), pl.lit(None, pl.Boolean)
    too_long = pl.col("total_tokens") > cutoff_tokens if cutoff_tokens else unknown
    stopped = unknown if ceilings is None else pl.col("unfinished") & at_ceiling(pl.col("total_tokens"), ceilings)
    answered, right = measured.verified.answered, measured.verified.right
    asked = measured.questions
    keys = [] if asked is None else [asked.select("question_key")]
    parts = [_with_all(measured.traces, OUTPUTS), own, measured.difficulty, *keys]
    table = pl.concat(parts, how="horizontal").with_columns(
        row=pl.int_range(pl.len(), dtype=pl.UInt32),
        looping=looping(),
        cut_off=pl.col("cut_off").fill_null(False) | stopped,
        no_answer=pl.when(answered.is_not_null()).then(~answered & ~right.fill_null(False)),
        wrong_answer=pl.lit(~right),
        over_cutoff=too_long,
        question_group=pl.lit(None, pl.UInt32) if asked is None else question_groups(asked),
        **_closest(measured.evidence, pool.rows),
    )
    comparable = asked is not None and "trace_key" in measured.traces.columns
    before = sorted(set(dropping) & set(ROW_RULES) - {"duplicate"})
    table = table.with_columns(duplicate=_duplicates(table, before) if comparable else unknown)
    return table.select(*_COLUMNS, *(name for name in measured.difficulty.columns if name != "difficulty"))


def _with_all(frame: pl.DataFrame, columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """Columns that were not measured, null."""
    absent = {name: dtype for name, dtype in columns.items() if name not in frame.columns}
    return frame.hstack([repeated(name, None, dtype, frame.height) for name, dtype in absent.items()])


def length_ceilings(traces: pl.DataFrame) -> list[Ceiling]:
    """The lengths at which generations of the pool were stopped (`health.endings.ceilings`)."""
    return ceilings(traces["total_tokens"].to_numpy(), traces["unfinished"].to_numpy())


def _closest(evidence: pl.DataFrame | None, rows: int) -> dict[str, pl.Series]:
    """Of each row what its closest hit says."""
    if evidence is None:
        unknown = pl.repeat(None, rows, dtype=pl.Boolean, eager=True)
        names = pl.repeat(None, rows, dtype=pl.String, eager=True)
        return {"contaminated": unknown, "other_numbers": unknown, "benchmark": names}
    places = pl.DataFrame({"row": pl.int_range(rows, dtype=pl.UInt32, eager=True)})
    hits = places.join(closest(evidence), on="row", how="left", maintain_order="left")
    kind = hits["kind"].fill_null("")
    return {"contaminated": kind == SAME, "other_numbers": kind == OTHER_NUMBERS, "benchmark": hits["benchmark"]}


def _duplicates(table: pl.DataFrame, rules: Sequence[str]) -> pl.Series:
    dropped = pl.any_horizontal(pl.lit(False), *(pl.col(rule).fill_null(False) for rule in rules))
    ordered = table.select("question_key", "trace_key", "row", dropped=dropped).sort("dropped", "row")
    repeated = ordered.select("row", duplicate=~pl.struct("question_key", "trace_key").is_first_distinct())
    return repeated.sort("row")["duplicate"]


def candidates(
    table: pl.DataFrame, pool: Pool, *, dropping: Collection[str], one_generation: bool, prefer_right: bool = False
) -> Candidates:
    """What selection sees of the table. `one_generation`: the paper's recipe (METHOD 9.6), in which a row's generations
    compete before anything is ranked, and only there one is dropped that is unfinished by its tags or its flags.
    `prefer_right`: where one trace of a question is known to be right, those of which it is not known stand back."""
    flags = {name: table[name].fill_null(False).to_numpy() for name in ROW_RULES}
    if one_generation:
        own = pool.narrow(["source", "source_row", "generation", "cut_off"])
        own = own.with_columns(correct=~table["wrong_answer"])
        flags["cut_off"] = (own["cut_off"].fill_null(False) & own["generation"].is_not_null()).to_numpy()
    dropped = first_reason(flags, active=dropping)
    if one_generation:
        dropped[_later_generations(own, dropped, trusted="wrong_answer" in dropping)] = REASONS.index("same_question")
    if prefer_right:
        dropped[_behind_a_right_one(table, dropped)] = REASONS.index("same_question")
    return Candidates(
        difficulty=table["difficulty"].fill_null(float("nan")).to_numpy(),
        trace_tokens=table["trace_tokens"].to_numpy(),
        total_tokens=table["total_tokens"].to_numpy(),
        rethinking_tokens=table["rethinking_tokens"].to_numpy(),
        question_group=groups_or_alone(table["question_group"]),
        category=_category_codes(pool),
        dropped=dropped,
    )


def groups_or_alone(groups: pl.Series) -> NDArray[np.integer[Any]]:
    """Question groups as selection takes them; where questions were not compared, each is a group of its own."""
    return np.arange(len(groups)) if groups.null_count() else groups.to_numpy()


def _behind_a_right_one(table: pl.DataFrame, dropped: NDArray[np.int8]) -> NDArray[np.intp]:
    """Of the rows that are left those without a verdict whose question has one that is right."""
    left = table.select("question_group", "wrong_answer", at=pl.int_range(pl.len())).filter(
        pl.Series(dropped == ELIGIBLE)
    )
    right = left.filter(~pl.col("wrong_answer"))["question_group"]
    unknown = left.filter(pl.col("wrong_answer").is_null(), pl.col("question_group").is_in(right.implode()))
    return unknown["at"].to_numpy().astype(np.intp)


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
    """Categories as numbers in the order of their names; -1 where a row has none, or a blank one."""
    named = pl.col("category").cast(pl.String)
    names = pool.narrow(["category"]).select(pl.when(~blank(named)).then(named)).to_series()
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
