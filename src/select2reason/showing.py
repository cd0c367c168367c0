"""What the report shows of rows: the best and the nearly chosen, what each rule found, the closest benchmark problems.

Rows are picked by the score table, and their texts taken from the pool.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason import contamination, export, report
from select2reason import pool as pools
from select2reason.pool import Pool
from select2reason.scored import Scored
from select2reason.selection import Ranked
from select2reason.settings import SelectSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.uint32]

_EXAMPLES = 10
_HIT = {"row": pl.UInt32, "kind": pl.String, "benchmark": pl.String, "problem": pl.UInt32, "overlap": pl.Float32}


def examples(pool: Pool, table: pl.DataFrame, ranked: Ranked, chosen: SelectSettings, rows: Rows) -> report.Examples:
    """The first chosen rows, and those that the same strategy would have taken next."""
    more = replace(chosen, fraction=None, rows=len(rows) + _EXAMPLES, token_budget=None)
    further = more.choose(ranked).rows
    nearly = further[~np.isin(further, rows)]
    both = _texts(pool, table, np.concatenate([rows[:_EXAMPLES], nearly[:_EXAMPLES]]))
    return report.Examples(best=both.head(len(rows[:_EXAMPLES])), nearly=both.slice(len(rows[:_EXAMPLES])))


def _texts(pool: Pool, table: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    names = ("difficulty", "trace_tokens", "total_tokens", "rethinking_tokens", "rank_joint", "reason")
    scores = table.select("row", *names)[rows]
    found = export.as_examples(pool.few(rows, pools.TEXT))
    return pl.concat([found.drop("messages"), scores], how="horizontal")


def shown(scored: Scored, table: pl.DataFrame) -> report.Shown:
    """What the page shows of a pool's texts beside examples: some rows that each rule flags, with what it found there,
    the closest benchmark problems, and the categories."""
    hits = pl.DataFrame(schema=_HIT) if scored.evidence is None else contamination.closest(scored.evidence)
    problems, flagged = report.hits_to_show(hits), report.rows_to_show(table)
    closest = problems.head(report.SHOWN_HITS)
    rows = np.unique(np.array([*closest["row"], *(row for some in flagged.values() for row in some)], np.uint32))
    known = pl.concat([scored.pool.few(rows, pools.TEXT), table[rows]], how="horizontal")
    if scored.evidence is not None:
        known = known.join(hits.select("row", "problem", "overlap"), on="row", how="left", maintain_order="left")
    return report.Shown(
        findings=report.findings(flagged, known),
        hits=report.hits(closest, known["question"][np.searchsorted(rows, closest["row"].to_numpy())]),
        more_problems=problems.height - closest.height,
        category=scored.pool.narrow(["category"])["category"],
    )
