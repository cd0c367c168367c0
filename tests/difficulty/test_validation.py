"""Figures against labels: hand-worked numbers, ties, what is undefined, and the standard error of a difference."""

from __future__ import annotations

import numpy as np
import pytest

from select2reason.difficulty.validation import Baselines, fit_baselines, render, spearman, validate

LENGTHS = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
LABELS = np.array([0.2, 0.0, 0.5, 1.0, 0.5])


def test_rank_correlation_by_hand() -> None:
    assert spearman(np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 40, 30])) == pytest.approx(0.8)  # 1 - 6 * 2 / 60
    tied = spearman(np.array([1.0, 1, 2]), np.array([1.0, 2, 3]))  # ranks 1.5, 1.5, 3
    assert tied == pytest.approx(1.5 / np.sqrt(1.5 * 2))


@pytest.mark.parametrize(("one", "other"), [([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]), ([1.0], [2.0]), ([], [])])
def test_rank_correlation_that_is_undefined_is_nan(one: list[float], other: list[float]) -> None:
    assert np.isnan(spearman(np.array(one), np.array(other)))


def test_scores_and_labels_that_are_missing() -> None:
    predicted = np.array([0.1, np.nan, 0.6, 0.9, np.nan, 0.3])
    label = np.array([0.0, 0.5, 0.5, 1.0, np.nan, np.nan])
    found = validate(predicted, label, np.arange(6.0))
    assert (found.n, found.missing) == (3, 1)
    assert found.spearman == pytest.approx(1)
    assert found.rmse == pytest.approx(0.1)
    assert np.isnan([found.length_rmse, found.mean_rmse]).all()  # nothing was fitted elsewhere


def test_baselines_come_from_elsewhere() -> None:
    found = validate(LABELS, LABELS, LENGTHS, baselines=Baselines(mean=0.4, intercept=0.0, slope=0.0))
    assert (found.spearman, found.rmse, found.gain) == pytest.approx((1, 0, 1 - found.length_spearman))
    assert found.length_spearman == pytest.approx(8 / np.sqrt(10 * 9.5))  # ranks 3 1 2 5 4 and 2 1 3.5 5 3.5
    assert found.mean_rmse == pytest.approx(np.sqrt((0.04 + 0.16 + 0.01 + 0.36 + 0.01) / 5))
    assert found.length_rmse == pytest.approx(np.sqrt((0.04 + 0 + 0.25 + 1 + 0.25) / 5))


def test_the_line_in_log_length_is_least_squares_and_held_in_the_unit_interval() -> None:
    tokens = np.array([1.0, 3.0, 7.0, 15.0])
    line = fit_baselines(np.array([0.1, 0.2, 0.3, 0.4]), tokens)
    assert line.from_length(tokens) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert line.mean == pytest.approx(0.25)
    assert line.from_length(np.array([0.0, 1e9])).tolist() == pytest.approx([0, 1])
    flat = fit_baselines(np.array([0.1, 0.3]), np.array([5.0, 5.0]))
    assert (flat.slope, flat.intercept) == pytest.approx((0, 0.2))


def test_labels_on_another_scale_have_ranks_only() -> None:
    found = validate(np.linspace(0, 1, 5), np.array([1.0, 2, 3, 4, 5]), LENGTHS, baselines=Baselines(0.5, 0, 0))
    assert found.spearman == pytest.approx(1)
    assert np.isnan([found.rmse, found.length_rmse, found.mean_rmse]).all()
    assert found.deciles == ()


def test_deciles_are_equal_groups_by_prediction() -> None:
    predicted = np.linspace(1, 0, 40)
    found = validate(predicted, np.where(predicted > 0.5, 1.0, 0.0), np.arange(40.0)).deciles
    assert [one.count for one in found] == [4] * 10
    assert (found[0].predicted, found[0].label) == pytest.approx((1.5 / 39, 0))
    assert [one.label for one in found] == [0] * 5 + [1] * 5
    assert len(validate(LABELS, LABELS, LENGTHS).deciles) == 5


def test_standard_errors_are_those_of_repeated_draws() -> None:
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(600):
        truth = rng.normal(size=400)
        length = 0.4 * truth + rng.normal(size=400)
        model = 0.5 * truth + 0.5 * length + rng.normal(size=400)
        draws.append(validate(model, truth, length))
    for value, error in (("spearman", "spearman_se"), ("length_spearman", "length_spearman_se"), ("gain", "gain_se")):
        spread = np.std([getattr(draw, value) for draw in draws])
        assert np.mean([getattr(draw, error) for draw in draws]) == pytest.approx(spread, rel=0.12)


def test_nothing_to_compare_is_all_undefined() -> None:
    nothing = np.empty(0)
    found = validate(nothing, nothing, nothing, baselines=Baselines(0.5, 0, 0))
    assert found.n == 0
    assert np.isnan([found.spearman, found.spearman_se, found.gain, found.gain_se, found.rmse]).all()
    assert "| this model | - | - | - |" in render(found)


def test_the_table_shows_every_figure() -> None:
    text = render(validate(LABELS, LABELS, LENGTHS, baselines=Baselines(0.4, 0, 0)), model="n-grams")
    assert "| n-grams | 1.000 | 0.000 | 0.000 |" in text
    assert "| length of the question alone | 0.821 |" in text
    assert "0.00 / 0.00, 0.20 / 0.20, 0.50 / 0.50, 0.50 / 0.50, 1.00 / 1.00" in text
    assert "On 5 questions; 0 more" in text
