"""GPU-hours, by hand."""

import polars as pl
import pytest

from select2reason.cost import gpu_hours


def test_by_hand() -> None:
    operations = 4 * (2 * 7.62e9 * 10_000 + 2 * 28 * 3_584 * 10_000**2)
    assert gpu_hours(pl.Series([10_000])) == pytest.approx(operations / (0.4 * 989e12) / 3600)


def test_examples_add_up_and_attention_grows_faster_than_length() -> None:
    one, both, twice = (gpu_hours(pl.Series(tokens)) for tokens in ([8_000], [8_000, 8_000], [16_000]))
    assert both == pytest.approx(2 * one)
    assert twice > both


def test_a_trainer_cuts_what_is_longer() -> None:
    assert gpu_hours(pl.Series([50_000, 100]), cutoff_tokens=16_384) == gpu_hours(pl.Series([16_384, 100]))


def test_nothing_costs_nothing() -> None:
    assert gpu_hours(pl.Series([], dtype=pl.UInt32)) == 0
