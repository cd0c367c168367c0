"""Laws of selection over random pools, above all: it is the slow, obvious selection, only faster.

The reference is made of lists, sorted() and exact fractions; of the package it uses the names alone.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from select2reason.reasons import ELIGIBLE, OUTCOMES, REASONS
from select2reason.selection import STRATEGIES, Candidates, Selection, rank

DTYPES: dict[str, Any] = {
    "difficulty": np.float64,
    "trace_tokens": np.uint32,
    "total_tokens": np.uint32,
    "rethinking_tokens": np.uint32,
    "question_group": np.int64,
    "category": np.int32,
    "dropped": np.int8,
}

Row = dict[str, Any]
Options = dict[str, Any]


def select(candidates: Candidates, **options: Any) -> Selection:
    return rank(candidates).select(**options)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "difficulty": st.sampled_from([math.nan, 0.0, 0.25, 0.5, 1.0]),
            "trace_tokens": st.integers(0, 6),
            "total_tokens": st.integers(0, 9),
            "rethinking_tokens": st.integers(0, 3),
            "question_group": st.integers(-1, 4),
            "category": st.integers(-1, 2),
            "dropped": st.sampled_from([ELIGIBLE] * 5 + [1, 9]),
        }
    ),
    max_size=25,
)
SIZES = st.one_of(
    st.integers(1, 100).map(lambda hundredths: {"fraction": Decimal(hundredths) / 100}),
    st.integers(1, 20).map(lambda rows: {"rows": rows}),
    st.integers(1, 60).map(lambda budget: {"token_budget": budget}),
)
OPTIONS = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(STRATEGIES),
        "weight": st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3, 1.0]),
        "seed": st.integers(0, 3),
        "per_question": st.integers(0, 2),
    }
)


def columns(rows: list[Row]) -> Candidates:
    return Candidates(**{name: np.array([row[name] for row in rows], dtype) for name, dtype in DTYPES.items()})


def mean_ranks(values: list[float]) -> list[Fraction]:
    keys = [-math.inf if math.isnan(value) else value for value in values]
    return [Fraction(2 * sum(a > b for a in keys) + keys.count(b) + 1, 2) for b in keys]


def reference_queues(rows: list[Row], strategy: str, weight: float, seed: int) -> list[list[int]]:
    """Positions in the order in which they are tried; for `diverse` one list a category."""
    length = [row["trace_tokens"] for row in rows]
    hard = mean_ranks([row["difficulty"] for row in rows])
    long = mean_ranks(length)
    share = Fraction(str(weight))
    shuffled = np.random.default_rng(seed).permutation(len(rows)).tolist()
    if strategy == "random":
        return [shuffled]
    if strategy == "diverse":
        codes = sorted({row["category"] for row in rows}, key=lambda code: (code < 0, code))
        return [[at for at in shuffled if rows[at]["category"] == code] for code in codes]
    longest = sorted(range(len(rows)), key=lambda at: (-length[at], at))
    keys: dict[str, Any] = {
        "joint": lambda at: share * hard[at] + (1 - share) * long[at],
        "hardest": lambda at: hard[at],
        "longest": lambda at: long[at],
        "shortest": lambda at: length[at],
        "rethinking": lambda at: -rows[at]["rethinking_tokens"],
        "middle": lambda at: abs(longest.index(at) - Fraction(len(rows) - 1, 2)),
    }
    return [sorted(longest, key=keys[strategy])]  # ties: the longer, then the earlier row


def reference_walk(
    rows: list[Row], queues: list[list[int]], stop: float, budget: float, cap: float
) -> tuple[list[int], Counter[int]]:
    """The chosen positions, and how many rows each question group then holds."""
    chosen: list[int] = []
    held: Counter[int] = Counter()
    while any(queues) and len(chosen) < stop:
        for queue in queues:
            while queue and len(chosen) < stop:
                at = queue.pop(0)
                row = rows[at]
                spent = sum(rows[other]["total_tokens"] for other in chosen)
                if held[row["question_group"]] < cap and spent + row["total_tokens"] <= budget:
                    held[row["question_group"]] += 1
                    chosen.append(at)
                    break
    return chosen, held


def assert_ranks(selection: Selection, eligible: list[Row], kept: list[int], share: Fraction) -> None:
    hard = mean_ranks([row["difficulty"] for row in eligible])
    long = mean_ranks([row["trace_tokens"] for row in eligible])
    joint = [share * a + (1 - share) * b for a, b in zip(hard, long, strict=True)]
    assert selection.rank_difficulty[kept].tolist() == [float(rank) for rank in hard]
    assert selection.rank_length[kept].tolist() == [float(rank) for rank in long]
    assert selection.rank_joint[kept].tolist() == [float(rank) for rank in joint]
    for ranks in (selection.rank_difficulty, selection.rank_length, selection.rank_joint):
        assert np.isfinite(ranks).sum() == len(kept)


@settings(max_examples=400)
@given(ROWS, SIZES, OPTIONS)
def test_select_is_the_slow_obvious_selection(rows: list[Row], size: Options, options: Options) -> None:
    selection = select(columns(rows), **size, **options)
    kept = [at for at, row in enumerate(rows) if row["dropped"] == ELIGIBLE]
    eligible = [rows[at] for at in kept]
    asked = size.get("rows")
    if "fraction" in size:
        asked = max(1, math.floor(Fraction(size["fraction"]) * len(kept)))
    cap = options["per_question"] or math.inf
    queues = reference_queues(eligible, options["strategy"], options["weight"], options["seed"])
    chosen, held = reference_walk(eligible, queues, asked or math.inf, size.get("token_budget", math.inf), cap)

    assert selection.rows.tolist() == [kept[at] for at in chosen]
    assert (selection.eligible, selection.asked) == (len(kept), asked)
    assert_ranks(selection, eligible, kept, Fraction(str(options["weight"])))
    for at, code in enumerate(selection.reason):
        if at not in kept:
            expected = REASONS[rows[at]["dropped"]]
        elif at in selection.rows:
            expected = "selected"
        elif held[rows[at]["question_group"]] >= cap:
            expected = "same_question"
        else:
            expected = "over_budget" if "token_budget" in size else "ranked_below"
        assert OUTCOMES[code] == expected


@given(ROWS, SIZES, OPTIONS)
def test_strategy_and_params_make_a_selection_again(rows: list[Row], size: Options, options: Options) -> None:
    first = select(columns(rows), **size, **options)
    params: dict[str, Any] = dict(first.params)
    again = select(columns(rows), strategy=first.strategy, **params)
    assert again.rows.tolist() == first.rows.tolist()
    assert again.reason.tolist() == first.reason.tolist()
    assert first.params == dict.fromkeys(("fraction", "rows", "token_budget")) | size | {
        name: value for name, value in options.items() if name != "strategy"
    }


@given(ROWS, OPTIONS, st.integers(1, 24))
def test_asking_for_more_rows_only_adds_at_the_end(rows: list[Row], options: Options, count: int) -> None:
    fewer, more = (select(columns(rows), rows=asked, **options).rows.tolist() for asked in (count, count + 1))
    assert more[: len(fewer)] == fewer
    assert len(more) - len(fewer) in (0, 1)


@given(ROWS, SIZES, OPTIONS, st.randoms())
def test_the_order_of_the_pool_does_not_matter_where_all_lengths_differ(
    rows: list[Row], size: Options, options: Options, chance: random.Random
) -> None:
    assume(options["strategy"] not in ("random", "diverse"))
    rows = [row | {"trace_tokens": at} for at, row in enumerate(rows)]
    moved = chance.sample(rows, len(rows))
    straight, shuffled = (select(columns(order), **size, **options).rows for order in (rows, moved))
    assert [moved[at]["trace_tokens"] for at in shuffled] == [rows[at]["trace_tokens"] for at in straight]
