"""The rethinking study against numbers worked by hand."""

import json
from collections.abc import Callable, Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from select2reason.report import Group, rethinking_study


def table(lengths: Sequence[int], rethinking: Sequence[int | None], difficulty: Sequence[float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {"trace_tokens": lengths, "rethinking_tokens": rethinking, "difficulty": difficulty},
        schema={"trace_tokens": pl.UInt32, "rethinking_tokens": pl.UInt32, "difficulty": pl.Float64},
    )


def twenty() -> pl.DataFrame:
    """Lengths 100, 200, ... 2000, shuffled by parity; rethinking = length / 100; difficulty 0.00, 0.05, ... 0.95."""
    order = [*range(1, 21, 2), *range(2, 21, 2)]
    return table([100 * i for i in order], [*order], [(i - 1) / 20 for i in order])


def test_tenths_hold_two_traces_each_with_mean_error_and_density() -> None:
    study = rethinking_study(twenty())
    assert [g.n for g in study.by_length] == [2] * 10
    # lengths 100 and 200 hold 1 and 2: mean 1.5, standard deviation sqrt(1/2), error 1/2, 3 in 300 tokens
    assert study.by_length[0] == Group(part=1, n=2, low=100, high=200, mean=1.5, stderr=0.5, per_1000=10.0)
    assert [g.mean for g in study.by_length] == [1.5 + 2 * i for i in range(10)]


def test_quarters_by_difficulty() -> None:
    study = rethinking_study(twenty())
    assert [(g.part, g.n, g.low, g.high, g.mean) for g in study.by_difficulty] == [
        (1, 5, 0.0, 0.2, 3.0),
        (2, 5, 0.25, 0.45, 8.0),
        (3, 5, 0.5, 0.7, 13.0),
        (4, 5, 0.75, 0.95, 18.0),
    ]


def test_the_ends_of_difficulty_keep_the_tenths_of_all_traces() -> None:
    study = rethinking_study(twenty())
    assert [(g.part, g.n) for g in study.by_length_easiest] == [(1, 2), (2, 2), (3, 1)]
    assert [(g.part, g.n) for g in study.by_length_hardest] == [(8, 1), (9, 2), (10, 2)]


def test_whole_pool_figures() -> None:
    study = rethinking_study(twenty())
    assert (study.n, study.mean, study.per_1000) == (20, 10.5, 10.0)
    assert study.length_correlation == pytest.approx(1.0)
    assert study.difficulty_correlation == pytest.approx(1.0)


def test_density_is_of_the_totals_not_a_mean_of_ratios() -> None:
    study = rethinking_study(table([100, 900], [10, 0], [0.5, 0.5]))
    assert study.per_1000 == 10.0


def test_what_has_no_trace_or_no_count_is_left_out_and_counted() -> None:
    study = rethinking_study(table([0, 10, 20, 30], [0, None, 2, 3], [0.1, 0.2, None, float("nan")]))
    assert (study.n, study.left_out, study.no_difficulty) == (2, 2, 2)
    assert study.by_difficulty == ()
    assert study.difficulty_correlation is None


def test_equal_values_share_a_group() -> None:
    study = rethinking_study(table([50] * 8, list(range(8)), [0.0] * 4 + [1.0] * 4))
    assert [(g.part, g.n) for g in study.by_length] == [(6, 8)]
    # mean ranks 2.5 and 6.5 of 8: (2.5 - 0.5) / 8 * 4 = 1 -> part 2; (6.5 - 0.5) / 8 * 4 = 3 -> part 4
    assert [(g.part, g.n, g.mean) for g in study.by_difficulty] == [(2, 4, 1.5), (4, 4, 5.5)]
    assert study.length_correlation is None


def test_one_trace_has_no_standard_error() -> None:
    study = rethinking_study(table([5], [1], [0.5]))
    assert study.by_length[0].stderr is None
    assert study.by_length_hardest == ()


def test_an_empty_pool() -> None:
    study = rethinking_study(table([], [], []))
    assert (study.n, study.mean, study.per_1000, study.by_length) == (0, None, None, ())


def test_to_dict_is_plain_json(make_scores: Callable[[int], pl.DataFrame]) -> None:
    plain = rethinking_study(make_scores(500)).to_dict()
    again = json.loads(json.dumps(plain, allow_nan=False))
    assert again == plain
    assert [group["part"] for group in again["by_length"]] == list(range(1, 11))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9), st.floats(0, 1)), max_size=60))
def test_every_trace_is_in_one_group_and_the_mean_is_kept(rows: list[tuple[int, int, float]]) -> None:
    study = rethinking_study(table([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]))
    for groups in (study.by_length, study.by_difficulty):
        assert sum(g.n for g in groups) == study.n
        if study.n:
            assert sum(g.n * g.mean for g in groups) / study.n == pytest.approx(study.mean)
