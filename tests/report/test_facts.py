"""Totals, reasons, health and overlaps against small tables; what was not measured stays null."""

import numpy as np
import polars as pl
import pytest

from select2reason.report import distributions, facts


def pool() -> pl.DataFrame:
    return facts.complete(
        pl.DataFrame(
            {
                "row": pl.Series(range(10), dtype=pl.UInt32),
                "difficulty": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, None, float("nan")],
                "trace_tokens": pl.Series([0, 10, 20, 30, 40, 50, 60, 70, 80, 1000], dtype=pl.UInt32),
                "total_tokens": pl.Series([4_000_000_000] * 10, dtype=pl.UInt32),
                "rethinking_tokens": pl.Series(range(10), dtype=pl.UInt32),
                "looping": [True, False, None, False, False, False, False, False, False, False],
                "selected": [False] * 7 + [True] * 3,
                "reason": ["looping"] + ["ranked_below"] * 5 + ["odd_one"] + ["selected"] * 3,
            }
        )
    )


def chosen() -> pl.DataFrame:
    return pool().filter(pl.col("selected"))


def test_totals_do_not_wrap_at_32_bits() -> None:
    assert facts.totals(pool(), None).tokens == 40_000_000_000


def test_the_long_tail_is_what_exceeds_nine_tenths_of_the_pool() -> None:
    tail = facts.tail_length(pool())
    assert tail == 80
    assert facts.totals(pool(), tail).long_tail == pytest.approx(0.1)
    assert facts.totals(chosen(), tail).long_tail == pytest.approx(1 / 3)


def test_nan_is_no_difficulty() -> None:
    side = facts.totals(pool(), None)
    assert side.no_difficulty == 2
    assert side.mean_difficulty == pytest.approx(0.45)


def test_reasons_follow_the_method_and_unknown_ones_come_last() -> None:
    found = [(r.name, r.n, r.share) for r in facts.reasons(pool())]
    assert found == [("selected", 3, 0.3), ("looping", 1, 0.1), ("ranked_below", 5, 0.5), ("odd_one", 1, 0.1)]


def test_eligible_are_those_with_ranks() -> None:
    ranks = pl.Series("rank_joint", [None, *range(9)], dtype=pl.Float64)
    assert facts.eligible(pool().with_columns(ranks)) == 9


def test_health_is_a_share_of_the_measured() -> None:
    flags = {flag.name: flag for flag in facts.health(pool(), chosen())}
    assert (flags["looping"].pool, flags["looping"].pool_measured) == (1, 9)
    assert flags["looping"].selection_share == 0
    assert flags["contaminated"].pool_share is None


def test_histograms_lose_no_value() -> None:
    lengths = distributions.length_histogram(pool(), chosen(), "trace_tokens")
    assert lengths is not None and lengths.selection is not None
    assert (lengths.pool.sum(), lengths.pool_missing) == (9, 1)
    assert (lengths.selection.sum(), lengths.selection_median) == (3, 80)
    difficulties = distributions.difficulty_histogram(pool(), None)
    assert difficulties is not None and difficulties.selection is None
    assert (difficulties.pool.sum(), difficulties.pool_missing) == (8, 2)


@pytest.mark.parametrize("lengths", [[1], [7, 7, 7], [1, 2**31], [3, 99_999, 123_457]])
def test_extreme_lengths_stay_inside_the_edges(lengths: list[int]) -> None:
    table = facts.complete(pl.DataFrame({"trace_tokens": lengths}))
    histogram = distributions.length_histogram(table, None, "trace_tokens")
    assert histogram is not None
    assert histogram.pool.sum() == len(lengths)
    assert (np.diff(histogram.edges) > 0).all()


def test_difficulty_may_leave_the_unit_interval() -> None:
    table = facts.complete(pl.DataFrame({"difficulty": [-2.0, 5.0]}))
    histogram = distributions.difficulty_histogram(table, None)
    assert histogram is not None
    assert (histogram.edges[0], histogram.edges[-1], histogram.pool.sum()) == (-2, 5, 2)


def test_counts_above_the_most_common_share_the_last_bin() -> None:
    counts = [0] * 50 + [3] * 148 + [40, 900]
    table = facts.complete(pl.DataFrame({"rethinking_tokens": counts}))
    histogram = distributions.count_histogram(table, None, "rethinking_tokens")
    assert histogram is not None
    assert (histogram.pool[0], histogram.pool[3], histogram.pool[-1], histogram.pool.sum()) == (50, 150, 150, 200)
    assert (histogram.edges[0], histogram.above) == (-0.5, 3)


def test_the_scale_of_counts_holds_the_selection_too() -> None:
    table = facts.complete(pl.DataFrame({"rethinking_tokens": [0] * 9_999 + [30]}))
    histogram = distributions.count_histogram(table, table.tail(1), "rethinking_tokens")
    assert histogram is not None and histogram.selection is not None
    assert (histogram.edges[-1], histogram.selection[-1], histogram.above) == (30.5, 1, None)
