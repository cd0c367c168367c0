"""What the report shows of rows: the best and the nearly chosen, what others would have taken, what each rule found.

Rows are picked by the score table, and their texts taken from the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason import contamination, export, report
from select2reason import pool as pools
from select2reason.pool import Pool
from select2reason.scored import Scored
from select2reason.selection import Ranked, Selection, Strategy
from select2reason.settings import SelectSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.uint32]

_COMPARED: tuple[Strategy, ...] = ("longest", "hardest", "random")
_EXAMPLES = 10


def alternatives(ranked: Ranked, chosen: SelectSettings, selection: Selection) -> dict[str, Rows]:
    """What other strategies would have taken of the same rows, as many of them."""
    same_size = replace(chosen, fraction=None, rows=max(1, len(selection.rows)), token_budget=None)
    taken = {chosen.strategy: selection.rows}
    for strategy in _COMPARED:
        taken.setdefault(strategy, replace(same_size, strategy=strategy).choose(ranked).rows)
    return {str(name): rows for name, rows in taken.items()}


def examples(
    pool: Pool, table: pl.DataFrame, ranked: Ranked, chosen: SelectSettings, rows: Rows, *, spill: Path
) -> report.Examples:
    """The first chosen rows, and those that the same strategy would have taken next."""
    more = replace(chosen, fraction=None, rows=len(rows) + _EXAMPLES, token_budget=None)
    further = more.choose(ranked).rows
    nearly = further[~np.isin(further, rows)]
    both = _texts(pool, table, np.concatenate([rows[:_EXAMPLES], nearly[:_EXAMPLES]]), spill)
    return report.Examples(best=both.head(len(rows[:_EXAMPLES])), nearly=both.slice(len(rows[:_EXAMPLES])))


def _texts(pool: Pool, table: pl.DataFrame, rows: Rows, spill: Path) -> pl.DataFrame:
    names = ("difficulty", "trace_tokens", "total_tokens", "rethinking_tokens", "rank_joint", "reason")
    scores = table.select("row", *names)[rows]
    found = export.as_examples(_taken(pool, rows, spill))
    return pl.concat([found.drop("messages"), scores], how="horizontal")


def _taken(pool: Pool, rows: Rows, spill: Path) -> pl.DataFrame:
    """The texts of rows, in their order: no rows are a table of none."""
    empty = pl.DataFrame(schema=dict.fromkeys(pools.TEXT, pl.String))
    return pl.concat([empty, *pool.take(rows, pools.TEXT, spill=spill)])


def findings(scored: Scored, table: pl.DataFrame, *, spill: Path) -> dict[str, Sequence[report.Finding]]:
    """For each rule some of the rows that it flags, with what it found there."""
    shown = report.rows_to_show(table)
    rows = np.unique(np.array([row for some in shown.values() for row in some], np.uint32))
    known = pl.concat([_taken(scored.pool, rows, spill), table[rows]], how="horizontal")
    if scored.evidence is not None:
        hits = contamination.closest(scored.evidence)
        known = known.join(hits.select("row", "problem", "overlap"), on="row", how="left", maintain_order="left")
    return report.findings(shown, known)
