"""The figures by hand, and against other people's arithmetic where there is some."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from select2reason.evaluation.metrics import difference, mean, pass_at_k, t_975


def test_mean_and_standard_error_by_hand() -> None:
    figure = mean(np.array([1.0, 0.5, np.nan, 0.0]))
    assert (figure.value, figure.problems) == (0.5, 3)
    assert figure.stderr == pytest.approx(0.5 / math.sqrt(3))  # deviations 0.5, 0, -0.5: variance 0.5 / 2
    assert mean(np.array([np.nan])) == mean(np.array([]))
    assert (mean(np.array([])).value, mean(np.array([])).stderr, mean(np.array([])).problems) == (None, None, 0)
    assert mean(np.array([1.0])).stderr is None  # one problem tells nothing of the others


def test_thirty_problems_carry_six_and_a_half_points() -> None:
    solved = np.array([1.0] * 13 + [0.0] * 17)  # the paper's 0.433 on AIME 2024, were each sample alike
    assert mean(solved).stderr == pytest.approx(math.sqrt(13 / 30 * 17 / 30 / 29))
    assert 0.05 < (mean(solved).stderr or 0) < 0.1


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(k: int) -> None:
    for right in range(7):
        samples = [1] * right + [0] * (6 - right)
        draws = [any(draw) for draw in combinations(samples, k)]
        assert pass_at_k(np.array([6]), np.array([right]), k)[0] == pytest.approx(sum(draws) / len(draws))


def test_pass_at_more_than_there_are_is_not_known() -> None:
    assert np.isnan(pass_at_k(np.array([4, 8]), np.array([4, 0]), 5)).tolist() == [True, False]


@pytest.mark.parametrize(("df", "within"), [(2, 1e-6), (3, 1e-6), (5, 1e-6), (6, 0.0001), (29, 0.0001), (1000, 0.0001)])
def test_students_t(df: int, within: float) -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    assert t_975(df) == pytest.approx(float(stats.t.ppf(0.975, df)), rel=within)


def test_paired_difference_is_that_of_a_paired_t_test() -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(30), rng.random(30)
    found = difference(np.append(ours, np.nan), np.append(theirs, 0.5))
    wanted = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert found.problems == 30
    assert found.value == pytest.approx(float(np.mean(ours - theirs)))
    assert found.low == pytest.approx(float(wanted.low), rel=1e-3)
    assert found.high == pytest.approx(float(wanted.high), rel=1e-3)


def test_no_interval_where_it_would_be_a_point() -> None:
    same = difference(np.ones(20), np.ones(20))
    assert (same.value, same.low, same.high, same.problems) == (0.0, None, None, 20)
    assert difference(np.array([1.0, 0.0]), np.array([0.0, 0.0])).low is None
    assert difference(np.array([np.nan]), np.array([1.0])).value is None


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        hardness = rng.random(30)
        ours, theirs = (rng.binomial(16, np.clip(hardness + shift, 0, 1)) / 16 for shift in (0.05, 0.0))
        true = np.mean(np.clip(hardness + 0.05, 0, 1) - hardness)
        found = difference(ours, theirs)
        held += bool(found.low is not None and found.high is not None and found.low <= true <= found.high)
    assert 0.93 < held / 2000 < 0.98
