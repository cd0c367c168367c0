"""Selection worked by hand: strategies, cap, budget, reasons, sizes, wrong input."""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from select2reason.errors import UsageError
from select2reason.reasons import ELIGIBLE, OUTCOMES, REASONS, ROW_RULES, first_reason
from select2reason.selection import (
    STRATEGIES,
    Candidates,
    Selection,
    Strategy,
    parse_fraction,
    rank,
    rows_of_fraction,
)


def select(candidates: Candidates, **options: Any) -> Selection:
    return rank(candidates).select(**options)


NAN = math.nan
TENTH = Decimal("0.1")
EMPTY = ((), ([ROW_RULES.index("looping")] * 3))  # no rows at all; only dropped rows
BY_SEED = ("random", "diverse")


def pool(trace_tokens: list[int], **columns: list[Any]) -> Candidates:
    """Rows by trace length; no score, own question, no category, eligible, where no column says otherwise."""
    rows = len(trace_tokens)
    return Candidates(
        difficulty=np.array(columns.get("difficulty", [NAN] * rows), np.float64),
        trace_tokens=np.array(trace_tokens, np.uint32),
        total_tokens=np.array(columns.get("total_tokens", trace_tokens), np.uint32),
        rethinking_tokens=np.array(columns.get("rethinking_tokens", [0] * rows), np.uint32),
        question_group=np.array(columns.get("question_group", range(rows)), np.int64),
        category=np.array(columns.get("category", [-1] * rows), np.int32),
        dropped=np.array(columns.get("dropped", [ELIGIBLE] * rows), np.int8),
    )


def reasons(selection: Selection) -> list[str]:
    return [OUTCOMES[code] for code in selection.reason]


# -- the strategies -----------------------------------------------------------------------------------------

SIX = pool(
    [300, 100, 500, 300, 200, 400],  # length ranks 3.5 6 1 3.5 5 2
    difficulty=[0.2, 0.9, NAN, 0.9, 0.5, 0.2],  # ranks 4.5 1.5 6 1.5 3 4.5
    rethinking_tokens=[7, 0, 1, 7, 9, 0],
    total_tokens=[600, 500, 400, 300, 200, 100],
)


@pytest.mark.parametrize(
    ("strategy", "order"),
    [
        ("joint", [2, 5, 3, 0, 4, 1]),  # 2.25, 2.625, 3, 3.75, 4.5, 4.875
        ("longest", [2, 5, 0, 3, 4, 1]),
        ("shortest", [1, 4, 0, 3, 5, 2]),
        ("middle", [0, 3, 5, 4, 2, 1]),
        ("hardest", [3, 1, 4, 5, 0, 2]),
        ("rethinking", [4, 0, 3, 2, 5, 1]),
    ],
)
def test_orders_by_hand(strategy: Strategy, order: list[int]) -> None:
    chosen = select(SIX, strategy=strategy, rows=6).rows
    assert chosen.tolist() == order
    assert chosen.dtype == np.uint32


def test_a_fraction_may_be_a_float() -> None:
    for tenth in (0.29, "29%", Decimal("0.29")):
        assert len(select(pool([1] * 100), fraction=tenth).rows) == 29  # and not 28, which 0.29 * 100 is in floats


def test_ranks_by_hand() -> None:
    selection = select(SIX, rows=2)
    assert selection.rank_difficulty.tolist() == [4.5, 1.5, 6, 1.5, 3, 4.5]
    assert selection.rank_length.tolist() == [3.5, 6, 1, 3.5, 5, 2]
    assert selection.rank_joint.tolist() == [3.75, 4.875, 2.25, 3.0, 4.5, 2.625]


def test_joint_ties_go_to_the_longer_trace() -> None:
    assert select(SIX, rows=6, weight=1).rows.tolist() == [3, 1, 4, 5, 0, 2]


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"random", "diverse", "middle"}))
def test_rows_that_are_equal_in_everything_keep_their_order(strategy: Strategy) -> None:
    equal = pool([10] * 1000, question_group=[row % 50 for row in range(1000)])  # large enough for a quicksort
    assert select(equal, strategy=strategy, rows=1000).rows.tolist() == list(range(50))


@pytest.mark.parametrize("rows", range(1, 8))
def test_middle_is_centred_on_the_median(rows: int) -> None:
    seven = pool([70, 60, 50, 40, 30, 20, 10])
    start = (7 - rows) // 2
    chosen = select(seven, strategy="middle", rows=rows).rows
    assert sorted(chosen) == list(range(start, start + rows))


@pytest.mark.parametrize(
    ("rows", "shares"), [(1, (1, 0, 0)), (4, (2, 1, 1)), (6, (3, 2, 1)), (7, (3, 3, 1)), (9, (5, 3, 1))]
)
def test_diverse_takes_equal_numbers_and_passes_shares_on(rows: int, shares: tuple[int, ...]) -> None:
    category = [-1, 4, 2, 2, 4, 2, 4, 2, 2]  # five of 2, three of 4, one without a category, which comes last
    chosen = select(pool([10] * 9, category=category), strategy="diverse", rows=rows).rows
    counts = Counter(category[row] for row in chosen)
    assert (counts[2], counts[4], counts[-1]) == shares


@pytest.mark.parametrize("seed", range(10))
def test_diverse_replaces_a_capped_row_from_its_own_category(seed: int) -> None:
    category, group = [0, 0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 5, 2, 3, 4, 0]
    candidates = pool([10] * 9, category=category, question_group=group)
    chosen = select(candidates, strategy="diverse", rows=4, seed=seed).rows
    assert Counter(category[row] for row in chosen) == {0: 2, 1: 2}
    assert len({group[row] for row in chosen}) == 4


@pytest.mark.parametrize("strategy", BY_SEED)
def test_chance_is_fair_and_made_again_by_its_seed(strategy: Strategy) -> None:
    candidates = pool(list(range(10)), category=[0] * 5 + [1] * 5)
    draws = [tuple(select(candidates, strategy=strategy, rows=2, seed=seed).rows) for seed in range(500)]
    again = [tuple(select(candidates, strategy=strategy, rows=2, seed=seed).rows) for seed in range(5)]
    assert draws[:5] == again
    times = Counter(row for draw in draws for row in draw)  # each row is expected 100 times, give or take 9
    assert all(60 < times[row] < 140 for row in range(10))


# -- cap, budget and reasons --------------------------------------------------------------------------------


def test_the_cap_passes_over_a_question_that_has_its_rows() -> None:
    candidates = pool([60, 50, 40, 30, 20, 10], question_group=[7, 7, 8, 7, 9, 8])
    one, two = (select(candidates, strategy="longest", rows=3, per_question=cap) for cap in (1, 2))
    assert one.rows.tolist() == [0, 2, 4]
    assert reasons(one) == [
        "selected",
        "same_question",
        "selected",
        "same_question",
        "selected",
        "same_question",
    ]
    assert two.rows.tolist() == [0, 1, 2]
    assert reasons(two) == ["selected"] * 3 + ["same_question", "ranked_below", "ranked_below"]
    assert select(candidates, strategy="shortest", rows=5, per_question=0).rows.tolist() == [5, 4, 3, 2, 1]


def test_a_row_over_the_budget_is_passed_over_and_does_not_use_up_its_question() -> None:
    candidates = pool([50, 40, 30, 20, 10], total_tokens=[60, 100, 30, 20, 10], question_group=[0, 1, 1, 0, 2])
    selection = select(candidates, strategy="longest", token_budget=99)
    assert selection.rows.tolist() == [
        0,
        2,
    ]  # 60 + 30: row 1 never fits, so question 1 is still free for row 2
    assert reasons(selection) == ["selected", "same_question", "selected", "same_question", "over_budget"]
    assert selection.asked is None
    assert select(candidates, strategy="longest", token_budget=100).rows.tolist() == [0, 2, 4]
    assert select(candidates, strategy="longest", token_budget=9).rows.tolist() == []


def test_dropped_rows_keep_their_reason_and_have_no_ranks() -> None:
    dropped = [REASONS.index("looping"), ELIGIBLE, REASONS.index("same_question"), ELIGIBLE]
    selection = select(pool([40, 10, 30, 20], dropped=dropped), strategy="longest", rows=1)
    assert selection.rows.tolist() == [3]
    assert selection.eligible == 2
    assert reasons(selection) == ["looping", "ranked_below", "same_question", "selected"]
    np.testing.assert_array_equal(selection.rank_length, [NAN, 2, NAN, 1])
    np.testing.assert_array_equal(selection.rank_difficulty, [NAN, 1.5, NAN, 1.5])
    np.testing.assert_array_equal(selection.rank_joint, [NAN, 1.875, NAN, 1.125])


def test_more_rows_than_there_are_takes_all() -> None:
    selection = select(SIX, rows=100)
    assert (len(selection.rows), selection.asked, selection.eligible) == (6, 100, 6)
    assert set(reasons(selection)) == {"selected"}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("size", [{"fraction": TENTH}, {"rows": 5}, {"token_budget": 100}])
@pytest.mark.parametrize("per_question", [0, 1])
def test_nothing_eligible_is_an_empty_selection(strategy: Strategy, size: dict[str, Any], per_question: int) -> None:
    for dropped in EMPTY:
        candidates = pool([10] * len(dropped), dropped=list(dropped))
        selection = select(candidates, strategy=strategy, per_question=per_question, **size)
        assert (len(selection.rows), selection.eligible) == (0, 0)
        assert selection.reason.tolist() == list(dropped)
        assert np.isnan(selection.rank_joint).all()


def test_first_reason_follows_the_order_of_the_reasons() -> None:
    flags = {
        "cut_off": np.array([True, True, False, False, False]),
        "looping": np.array([True, False, False, True, False]),
        "duplicate": np.array([False, False, True, False, False]),
        "same_question": np.array([True, True, True, True, False]),
    }
    every = first_reason(flags, active=flags)
    assert [code == ELIGIBLE or REASONS[code] for code in every] == [
        "looping",
        "cut_off",
        "duplicate",
        "looping",
        True,
    ]
    some = first_reason(flags, active=["duplicate", "cut_off"])
    assert [code == ELIGIBLE or REASONS[code] for code in some] == [
        "cut_off",
        "cut_off",
        "duplicate",
        True,
        True,
    ]
    assert first_reason(flags, active=()).tolist() == [ELIGIBLE] * 5


@pytest.mark.parametrize("name", ["over_cutoff", "ranked_below", "loops"])
def test_first_reason_refuses_a_rule_without_flags_and_what_is_no_row_rule(name: str) -> None:
    flags = {"looping": np.array([True]), "ranked_below": np.array([True])}
    with pytest.raises(ValueError, match=name):
        first_reason(flags, active=["looping", name])


# -- sizes and wrong input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "eligible", "rows"),
    [
        ("0.29", 100, 29),  # in floats 0.29 * 100 is 28.999999999999996
        ("29%", 100, 29),
        ("0.10", 196_000, 19_600),
        (" 10 % ", 19, 1),
        ("1e-1", 20, 2),
        ("0.57", 100, 57),
        ("0.02", 10, 1),  # at least one
        ("1", 7, 7),
        ("100%", 7, 7),
        ("0." + "9" * 40, 1000, 999),  # not rounded up on the way
        ("1e-9999999", 1000, 1),
        ("99." + "9" * 40 + "%", 1000, 999),
    ],
)
def test_fractions_are_counted_in_decimal(text: str, eligible: int, rows: int) -> None:
    assert rows_of_fraction(parse_fraction(text), eligible) == rows


@given(st.integers(1, 10_000), st.integers(0, 10**6))
def test_a_fraction_of_the_rows_is_the_floor(ten_thousandths: int, eligible: int) -> None:
    expected = max(1, math.floor(Fraction(ten_thousandths, 10_000) * eligible))
    assert rows_of_fraction(Decimal(ten_thousandths) / 10_000, eligible) == expected


@pytest.mark.parametrize(
    "text", ["1.5", "0", "0%", "-0.1", "101%", "10", "nan", "inf", "abc", "", "%", "1e999999999999"]
)
def test_a_wrong_fraction_names_the_fix_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"above 0 and at most 1, e\.g\. 0\.10 or 10%") as caught:
        parse_fraction(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of fraction, rows and token_budget.*got none"),
        ({"rows": 5, "fraction": TENTH}, "got fraction and rows"),
        ({"rows": 0}, "rows must be at least 1; got 0"),
        ({"token_budget": 0}, "token_budget must be at least 1"),
        ({"fraction": Decimal("1.5")}, "at most 1"),
        ({"fraction": Decimal("nan")}, "at most 1"),
        ({"rows": 5, "per_question": -1}, "per_question must be at least 0"),
        ({"rows": 5, "seed": -1}, "seed must be at least 0"),
        ({"rows": 5, "weight": 1.5}, "weight must be between 0 and 1"),
        ({"rows": 5, "strategy": "best"}, "one of joint, random, .*got 'best'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select(SIX, **options)


@pytest.mark.parametrize("infinite", [math.inf, -math.inf])
def test_an_infinite_difficulty_is_refused(infinite: float) -> None:
    with pytest.raises(UsageError, match="difficulty of row 1 is infinite"):
        pool([10, 20], difficulty=[NAN, infinite])


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'category': \(1,\)"):
        pool([10, 20], category=[0])
