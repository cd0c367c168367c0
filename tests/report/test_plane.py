"""The joint plane: every example in one cell, and the cut where the joint rank says."""

import numpy as np
import polars as pl
import pytest

from select2reason.report import facts
from select2reason.report.plane import Plane, plane, plane_chart


def pool(rows: int = 400) -> pl.DataFrame:
    """Difficulty and length unrelated, without ties; the best tenth by a weight of 0.25 is selected."""
    rng = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "difficulty": rng.permutation(rows) / rows,
            "trace_tokens": (rng.permutation(rows) + 1) * 10,
            "row": range(rows),
            "reason": "ranked_below",
        }
    )
    return ranked(table, 0.25)


def ranked(table: pl.DataFrame, weight: float) -> pl.DataFrame:
    table = facts.complete(table).with_columns(
        rank_difficulty=pl.col("difficulty").rank(descending=True),
        rank_length=pl.col("trace_tokens").rank(descending=True),
    )
    table = table.with_columns(rank_joint=weight * pl.col("rank_difficulty") + (1 - weight) * pl.col("rank_length"))
    return table.with_columns(selected=pl.col("rank_joint").rank("ordinal") <= table.height // 10)


def drawn(table: pl.DataFrame, weight: float | None) -> Plane:
    made = plane(table, table.filter("selected"), weight)
    assert made is not None
    return made


def test_each_example_counts_once() -> None:
    table = pool().with_columns(
        difficulty=pl.when(pl.col("row") > 2).then("difficulty"),
        trace_tokens=pl.when(pl.col("row") == 5).then(0).otherwise("trace_tokens"),
    )
    made = drawn(table, 0.25)
    assert made.selection is not None
    assert (made.pool.sum(), made.missing) == (396, 4)
    assert (made.selection <= made.pool).all()


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.6, 0.9, 1.0])
def test_the_cut_parts_what_is_selected_from_what_is_not(weight: float) -> None:
    table = ranked(pool().select("difficulty", "trace_tokens", "row", "reason"), weight)
    cut = drawn(table, weight).cut
    assert cut is not None
    for difficulty, tokens, selected in table.select("difficulty", "trace_tokens", "selected").iter_rows():
        if weight == 1:
            assert selected == (difficulty >= cut[1][0])
        elif cut[1][0] <= difficulty <= cut[1][-1]:
            edge = np.interp(difficulty, cut[1], cut[0])
            assert selected == (tokens >= edge) or abs(tokens / edge - 1) < 0.1
        else:
            assert not selected  # so easy that no length is enough


def test_another_strategy_has_no_cut() -> None:
    assert drawn(pool(), None).cut is None


def test_a_cell_is_coloured_by_how_much_of_it_was_chosen() -> None:
    chosen = plane_chart(drawn(pool(), 0.25))
    assert "var(--selection)" in chosen
    assert "var(--pool)" in chosen
    nothing = plane(pool(), None, None)
    assert nothing is not None
    assert "var(--selection)" not in plane_chart(nothing)
