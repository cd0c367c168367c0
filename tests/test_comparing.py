"""The comparison: figures worked by hand, overlaps, and the sweep as so many selections made one by one."""

from __future__ import annotations

import math
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from select2reason.comparing import WEIGHTS, Comparison, Flagged, Overlap, compare_choices
from select2reason.cost import gpu_hours
from select2reason.errors import UsageError
from select2reason.reasons import ELIGIBLE
from select2reason.selection import STRATEGIES, Candidates, Ranked, rank

NAN = math.nan


def pool(trace_tokens: list[int], **columns: list[Any]) -> Ranked:
    """Rows by trace length; no score, own question, no category, eligible, where no column says otherwise."""
    rows = len(trace_tokens)
    candidates = Candidates(
        difficulty=np.array(columns.get("difficulty", [NAN] * rows), np.float64),
        trace_tokens=np.array(trace_tokens, np.uint32),
        total_tokens=np.array(columns.get("total_tokens", trace_tokens), np.uint32),
        rethinking_tokens=np.array(columns.get("rethinking_tokens", [0] * rows), np.uint32),
        question_group=np.array(columns.get("question_group", range(rows)), np.int64),
        category=np.array(columns.get("category", [-1] * rows), np.int32),
        dropped=np.array(columns.get("dropped", [ELIGIBLE] * rows), np.int8),
    )
    return rank(candidates)


def compare(ranked: Ranked, flags: dict[str, list[bool | None]] | None = None, **options: Any) -> Comparison:
    table = pl.DataFrame(flags or {}, schema=dict.fromkeys(flags or {}, pl.Boolean))
    return compare_choices(ranked, ranked.select(**options), table, cutoff_tokens=0)


SEVEN = pool(
    [300, 100, 500, 350, 200, 400, 9_999],  # the last is dropped
    difficulty=[0.2, 0.9, NAN, 0.8, 0.5, 0.3, 1.0],
    rethinking_tokens=[7, 0, 1, 6, 9, 0, 99],
    total_tokens=[600, 500, 400, 300, 200, 100, 99_999],
    category=[0, 1, 2, 2, -1, 0, 7],
    dropped=[ELIGIBLE] * 6 + [0],
)
LOOPS: dict[str, list[bool | None]] = {"looping": [False, True, None, True, False, False, True]}


def test_figures_by_hand() -> None:
    longest = compare(SEVEN, LOOPS, rows=3).choice("longest").figures  # rows 2, 5, 3
    assert (longest.n, longest.tokens, longest.categories) == (3, 800, 2)
    assert longest.mean_trace == pytest.approx(1250 / 3)
    assert longest.mean_difficulty == pytest.approx(0.55)
    assert (longest.median_trace, longest.no_difficulty) == (400, 1)
    assert longest.mean_rethinking == pytest.approx(7 / 3)
    assert longest.health == {"looping": Flagged(flagged=1, measured=2)}
    assert longest.gpu_hours == round(gpu_hours(pl.Series([400, 100, 300])), 3)


def test_what_all_chose_from_leaves_dropped_rows_out() -> None:
    eligible = compare(SEVEN, LOOPS, rows=3).eligible
    assert (eligible.n, eligible.tokens, eligible.categories) == (6, 2100, 3)
    assert eligible.health == {"looping": Flagged(flagged=2, measured=5)}


def test_overlap_and_jaccard_by_hand() -> None:
    compared = compare(SEVEN, rows=2)
    assert [choice.strategy for choice in compared.choices] == list(STRATEGIES)
    longest, shortest, hardest = (compared.choice(name) for name in ("longest", "shortest", "hardest"))
    assert longest.overlap["longest"] == Overlap(2, 1)  # rows 2, 5
    assert longest.overlap["shortest"] == Overlap(0, 0)  # rows 1, 4
    assert hardest.overlap["shortest"] == shortest.overlap["hardest"] == Overlap(1, 1 / 3)  # rows 1, 3


def test_without_an_eligible_row_nothing_is_made_up() -> None:
    compared = compare(pool([5, 6], dropped=[0, 0]), {"looping": [True, True]}, fraction=Decimal("0.5"))
    figures = compared.choice("joint").figures
    assert (figures.n, figures.mean_trace, figures.median_trace, figures.mean_difficulty) == (0, None, None, None)
    assert compared.choice("joint").overlap["random"] == Overlap(0, None)
    assert {(point.n, point.mean_trace, point.common_share) for point in compared.sweep.points} == {(0, None, None)}


def test_the_sweep_has_the_paper_s_sizes_and_the_weight_asked_for() -> None:
    compared = compare(pool(list(range(1, 201))), fraction=Decimal("0.3"), weight=0.33)
    assert compared.sweep.weights == tuple(sorted({*WEIGHTS, 0.33}))
    sizes = [(size.fraction, size.rows, size.asked) for size in compared.sweep.sizes]
    assert sizes == [
        ("0.02", 4, False),
        ("0.05", 10, False),
        ("0.10", 20, False),
        ("0.20", 40, False),
        ("0.3", 60, True),
    ]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"fraction": Decimal("0.1")}, [("0.02", False), ("0.05", False), ("0.1", True), ("0.20", False)]),
        ({"rows": 10}, [("0.02", False), ("0.05", True), ("0.10", False), ("0.20", False)]),
        ({"rows": 7}, [("0.02", False), (None, True), ("0.05", False), ("0.10", False), ("0.20", False)]),
    ],
)
def test_a_size_is_there_once(size: dict[str, Any], expected: list[tuple[str | None, bool]]) -> None:
    sizes = compare(pool(list(range(1, 201))), **size).sweep.sizes
    assert [(one.fraction, one.asked) for one in sizes] == expected


def test_a_token_budget_is_kept_by_every_strategy_and_sized_in_rows_for_the_sweep() -> None:
    compared = compare(SEVEN, token_budget=650)
    assert all(choice.figures.tokens <= 650 for choice in compared.choices)
    assert len({choice.figures.n for choice in compared.choices}) > 1
    assert [size.rows for size in compared.sweep.sizes if size.asked] == [compared.choice("joint").figures.n]


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "trace_tokens": st.integers(0, 6),
            "difficulty": st.sampled_from([NAN, 0.0, 0.25, 0.5, 1.0]),
            "total_tokens": st.integers(0, 9),
            "rethinking_tokens": st.integers(0, 3),
            "question_group": st.integers(0, 5),
            "category": st.integers(-1, 2),
            "dropped": st.sampled_from([ELIGIBLE] * 5 + [1]),
        }
    ),
    max_size=30,
)
SIZES = st.one_of(
    st.integers(1, 100).map(lambda part: {"fraction": Decimal(part) / 100}),
    st.integers(1, 20).map(lambda rows: {"rows": rows}),
    st.integers(1, 60).map(lambda budget: {"token_budget": budget}),
)
OPTIONS = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(STRATEGIES),
        "weight": st.sampled_from([0.0, 0.2, 0.25, 1.0]),
        "seed": st.integers(0, 2),
        "per_question": st.integers(0, 2),
    }
)


def ranked_of(rows: list[dict[str, Any]]) -> Ranked:
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {"trace_tokens": []}
    return pool(**columns)


@settings(deadline=None)
@given(rows=ROWS, size=SIZES, options=OPTIONS)
def test_every_choice_and_every_point_is_a_selection_of_its_own(
    rows: list[dict[str, Any]], size: dict[str, Any], options: dict[str, Any]
) -> None:
    ranked = ranked_of(rows)
    asked = ranked.select(**size, **options)
    compared = compare_choices(ranked, asked, pl.DataFrame(), cutoff_tokens=0)
    taken = {name: set(ranked.select(**size, **options | {"strategy": name}).rows.tolist()) for name in STRATEGIES}
    for choice in compared.choices:
        assert choice.figures.tokens == sum(rows[row]["total_tokens"] for row in taken[choice.strategy])
        for name, overlap in choice.overlap.items():
            both, either = taken[name] & taken[choice.strategy], taken[name] | taken[choice.strategy]
            assert overlap == Overlap(len(both), len(both) / len(either) if either else None)
    for point in compared.sweep.points:
        alone = options | {"strategy": "joint", "weight": point.weight, "rows": point.rows}
        own = set(ranked.select(**alone).rows.tolist())
        assert (point.n, point.common) == (len(own), len(own & taken[options["strategy"]]))
        assert point.tokens == sum(rows[row]["total_tokens"] for row in own)
        hard = [rows[row]["difficulty"] for row in own if not math.isnan(rows[row]["difficulty"])]
        assert point.mean_difficulty == (pytest.approx(sum(hard) / len(hard)) if hard else None)


@settings(deadline=None)
@given(rows=ROWS, options=OPTIONS, few=st.integers(1, 15), more=st.integers(0, 15))
def test_a_smaller_joint_choice_is_the_beginning_of_a_larger_one(
    rows: list[dict[str, Any]], options: dict[str, Any], few: int, more: int
) -> None:
    ranked, joint = ranked_of(rows), options | {"strategy": "joint"}
    small, large = (ranked.select(rows=n, **joint).rows for n in (few, few + more))
    assert small.tolist() == large[: len(small)].tolist()


def test_the_choice_asked_for_shares_all_with_itself() -> None:
    compared = compare(SEVEN, rows=3, weight=0.5)
    point = next(p for p in compared.sweep.points if (p.weight, p.rows) == (0.5, 3))
    assert (point.common, point.common_share, point.tokens) == (3, 1, compared.choice("joint").figures.tokens)


def test_a_comparison_is_plain_data() -> None:
    plain = asdict(compare(SEVEN, LOOPS, rows=2))
    assert plain["choices"][0]["overlap"]["joint"] == {"n": 2, "jaccard": 1}
    assert len(plain["sweep"]["points"]) == len(plain["sweep"]["weights"]) * len(plain["sweep"]["sizes"])


def test_a_strategy_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no strategy 'nope'; it can be joint"):
        compare(SEVEN, LOOPS, rows=2).choice("nope")
