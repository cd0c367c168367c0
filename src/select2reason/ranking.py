"""Ranks over the rows of a pool, and the joint ranker (METHOD 4; ties and missing scores: METHOD 9.1, 9.2).

Arrays in, arrays out. Which rows take part, how many are taken and why others are not is selection's work.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from select2reason.errors import UsageError

Number = np.integer[Any] | np.floating[Any]
BEST_WEIGHT = 0.25  # METHOD 4: the best weight of difficulty in the paper
_FINEST_WEIGHT = 10**9  # 10**9 * (2 * 2**32 rows) < 2**63, so the sums of any pool fit into int64


def joint_rank(
    difficulty: NDArray[Number], length: NDArray[Number], *, weight: float = BEST_WEIGHT
) -> NDArray[np.float64]:
    """The paper's joint rank of each row, smallest is best; both arrays are (rows,).

    A difficulty of NaN (no score) ranks last in difficulty, as a length of NaN does in length. Raises UsageError for a
    weight outside [0, 1], and for arrays of unlike shapes.
    """
    difficulty, length = np.asarray(difficulty), np.asarray(length)
    if difficulty.ndim != 1 or difficulty.shape != length.shape:
        told = f"{difficulty.shape} and {length.shape}"
        raise UsageError(f"difficulty and length are arrays of one dimension, a value for each row; got {told}")
    return weighted_rank(descending_rank(difficulty), descending_rank(length), weight=weight)


def weighted_rank(
    rank_difficulty: NDArray[np.float64], rank_length: NDArray[np.float64], *, weight: float = BEST_WEIGHT
) -> NDArray[np.float64]:
    """weight * rank_difficulty + (1 - weight) * rank_length, where equal sums are equal to the last bit.

    In floats 0.2 * 6 + 0.8 * 3 is more than 0.2 * 2 + 0.8 * 4, though both are 3.6: noise in the last bit
    would break ties instead of the tie rule. Mean ranks are whole or half numbers, so with the weight as a
    fraction (the nearest with a denominator up to 10**9: 0.2 is 1/5) the sums are taken in whole numbers and
    divided once, at the end.
    """
    sums, whole = _whole_sums(rank_difficulty, rank_length, weight)
    return sums / whole


def joint_order(
    rank_difficulty: NDArray[np.float64], rank_length: NDArray[np.float64], *, weight: float = BEST_WEIGHT
) -> NDArray[np.intp]:
    """Positions, smallest joint rank first; of equal ones the earlier position."""
    sums, _ = _whole_sums(rank_difficulty, rank_length, weight)
    return smallest_first(sums)


def smallest_first(values: NDArray[np.int64]) -> NDArray[np.intp]:
    """Positions of whole numbers from 0 on, the smallest first; of equal ones the earlier position."""
    rows = len(values)
    if not rows or int(values.max()) >= 2**63 // rows - 1:
        return np.argsort(values, kind="stable")
    carried: NDArray[np.intp] = np.sort(values * rows + np.arange(rows))  # with their places: one sort, half the time
    return carried % rows


def _whole_sums(
    rank_difficulty: NDArray[np.float64], rank_length: NDArray[np.float64], weight: float
) -> tuple[NDArray[np.int64], int]:
    """The joint ranks as whole numbers, and what each is to be divided by."""
    refuse_weight(weight)
    share = Fraction(weight).limit_denominator(_FINEST_WEIGHT)
    part, whole = share.numerator, share.denominator
    twice_difficulty = (2 * rank_difficulty).astype(np.int64)
    twice_length = (2 * rank_length).astype(np.int64)
    return part * twice_difficulty + (whole - part) * twice_length, 2 * whole


def refuse_weight(weight: float) -> None:
    """Raise UsageError for a weight that is none."""
    if not 0 <= weight <= 1:
        raise UsageError(f"weight must be between 0 and 1, e.g. {BEST_WEIGHT}; got {weight}")


def descending_rank(values: NDArray[Number]) -> NDArray[np.float64]:
    """Rank of each value, 1 = largest; ties share their mean rank; all NaN are tied in the last places."""
    downwards = -values.astype(np.float64)
    order = np.argsort(downwards)  # NaN last; ties in any order, for they share a rank
    ranks = np.empty(len(values))
    ranks[order] = mean_ranks(downwards[order])
    return ranks


def mean_ranks(ordered: NDArray[Number]) -> NDArray[np.float64]:
    """The ranks of values that lie in order, from 1; equal ones, and all NaN, share their mean rank."""
    same = (ordered[1:] == ordered[:-1]) | (np.isnan(ordered[1:]) & np.isnan(ordered[:-1]))
    first = np.flatnonzero(np.concatenate([np.ones(min(1, len(ordered)), np.bool_), ~same]))
    ties = np.diff(first, append=len(ordered))
    return np.repeat(first + (ties + 1) / 2, ties)
