"""Ranks, worked by hand and against an obvious reference in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from select2reason.errors import UsageError
from select2reason.ranking import descending_rank, joint_order, joint_rank, weighted_rank

NAN = math.nan
DIFFICULTIES = st.lists(st.one_of(st.just(NAN), st.sampled_from([0.0, -0.0, 0.1, 0.2, 0.5, 1.0])), max_size=30)
HUNDREDTHS = st.integers(0, 100).map(lambda hundredths: Fraction(hundredths, 100))


def floats(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(values, np.float64)


@pytest.mark.parametrize(
    ("values", "ranks"),
    [
        ([], []),
        ([7], [1]),
        ([10, 30, 20], [3, 1, 2]),
        ([5, 9, 5, 1], [2.5, 1, 2.5, 4]),  # two share the places 2 and 3
        ([4, 4, 4], [2, 2, 2]),
        ([0.5, NAN, 0.9], [2, 3, 1]),
        ([NAN, 0.1, NAN, 0.2], [3.5, 2, 3.5, 1]),  # two without a value share the places 3 and 4
        ([NAN, NAN, NAN], [2, 2, 2]),
        ([0.0, -0.0, -1.0], [1.5, 1.5, 3]),
        ([-5.0, NAN], [1, 2]),  # no value is worse than any value
    ],
)
def test_ranks_descend_and_ties_share_the_mean(values: list[float], ranks: list[float]) -> None:
    assert descending_rank(np.array(values, np.float64)).tolist() == ranks


def test_unsigned_lengths_are_ranked_by_size() -> None:
    lengths = np.array([0, 4_000_000_000, 7], np.uint32)
    assert descending_rank(lengths).tolist() == [3, 1, 2]


@given(DIFFICULTIES)
def test_ranks_are_scipy_mean_ranks_with_missing_values_last(values: list[float]) -> None:
    filled = [-1.0 if math.isnan(value) else value for value in values]
    expected = rankdata([-value for value in filled], method="average").tolist() if values else []
    assert descending_rank(np.array(values, np.float64)).tolist() == expected


def test_joint_rank_worked_by_hand() -> None:
    difficulty = floats(0.9, 0.2, NAN, 0.2)  # ranks 1, 2.5, 4, 2.5
    length = floats(100, 400, 300, 100)  # ranks 3.5, 1, 2, 3.5
    assert joint_rank(difficulty, length).tolist() == [2.875, 1.375, 2.5, 3.25]
    assert joint_rank(difficulty, length, weight=1).tolist() == [1, 2.5, 4, 2.5]
    assert joint_rank(difficulty, length, weight=0).tolist() == [3.5, 1, 2, 3.5]


def test_a_quarter_is_the_weight_of_difficulty_not_of_length() -> None:
    hard_and_short, easy_and_long = joint_rank(floats(0.9, 0.1), floats(10, 20))
    assert (hard_and_short, easy_and_long) == (1.75, 1.25)


@pytest.mark.parametrize("weight", [-0.01, 1.01, NAN, math.inf])
def test_a_weight_outside_0_and_1_is_refused(weight: float) -> None:
    with pytest.raises(UsageError, match=r"weight must be between 0 and 1, e\.g\. 0\.25"):
        joint_rank(floats(1), floats(1), weight=weight)


def test_equal_joint_ranks_tie_where_floats_do_not() -> None:
    rank_difficulty, rank_length = floats(2, 6), floats(4, 3)  # by the weight 1/5 both are 3.6
    in_floats = 0.2 * rank_difficulty + 0.8 * rank_length
    assert in_floats[0] < in_floats[1]  # the trap: row 0 would win by noise, though row 1 has the longer trace
    joint = weighted_rank(rank_difficulty, rank_length, weight=0.2)
    assert joint.tolist() == [3.6, 3.6]
    # held longest first, as they are ordered: the longer trace, row 1, is the first of the two
    assert joint_order(rank_difficulty[::-1], rank_length[::-1], weight=0.2).tolist() == [0, 1]


@given(st.data(), HUNDREDTHS)
def test_joint_rank_is_the_exact_sum(data: st.DataObject, weight: Fraction) -> None:
    ranks = st.integers(2, 2_000_000).map(lambda halves: Fraction(halves, 2))
    pairs = data.draw(st.lists(st.tuples(ranks, ranks), min_size=1, max_size=20))
    joint = weighted_rank(
        floats(*(float(difficulty) for difficulty, _ in pairs)),
        floats(*(float(length) for _, length in pairs)),
        weight=float(weight),
    )
    exact = [weight * difficulty + (1 - weight) * length for difficulty, length in pairs]
    assert joint.tolist() == [float(value) for value in exact]


@pytest.mark.parametrize("weight", [1 / 3, 2 / 3, 0.123456789])
def test_the_sums_of_the_largest_pool_do_not_overflow(weight: float) -> None:
    last = floats(2**32, 1)
    joint = weighted_rank(last, last[::-1], weight=weight)
    assert joint == pytest.approx(weight * last + (1 - weight) * last[::-1])
    assert weighted_rank(last, last, weight=weight).tolist() == last.tolist()


@given(st.lists(st.tuples(st.integers(2, 9), st.integers(2, 9)), max_size=40), HUNDREDTHS)
def test_the_joint_order_is_the_stable_sort_of_exact_sums(halves: list[tuple[int, int]], weight: Fraction) -> None:
    exact = [weight * Fraction(d, 2) + (1 - weight) * Fraction(length, 2) for d, length in halves]
    expected = sorted(range(len(halves)), key=lambda row: (exact[row], row))
    difficulty, length = floats(*(d / 2 for d, _ in halves)), floats(*(one / 2 for _, one in halves))
    assert joint_order(difficulty, length, weight=float(weight)).tolist() == expected


def test_sums_too_large_to_carry_their_place_are_ordered_as_well() -> None:
    last = floats(2**32, 2**31, 2**31, 1)
    assert joint_order(last, last, weight=0.123456789).tolist() == [3, 1, 2, 0]


def test_arrays_of_unlike_shapes_are_refused() -> None:
    for lengths in ([1.0], [1.0, 2.0], [[1.0, 2.0, 3.0]]):
        with pytest.raises(UsageError, match="arrays of one dimension, a value for each row"):
            joint_rank(np.array([0.1, 0.5, 0.3]), np.array(lengths))
