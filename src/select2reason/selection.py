"""The choice: which rows of a pool are taken, in which order, and why each other row is not.

Implements METHOD 5 (the joint ranker and what it is compared with) and METHOD 9.1, 9.5, 9.10, 9.12. It sees
numbers only, never text: scores, flags and groups come in. An empty selection is the caller's business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import ROUND_FLOOR, Context, Decimal, DecimalException
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from select2reason.errors import UsageError
from select2reason.ranking import (
    BEST_WEIGHT,
    descending_rank,
    joint_order,
    mean_ranks,
    refuse_weight,
    smallest_first,
    weighted_rank,
)
from select2reason.reasons import ELIGIBLE, OVER_BUDGET, RANKED_BELOW, SAME_QUESTION, SELECTED

Integers = NDArray[np.integer[Any]]
Ranks = NDArray[np.float64]
Rows = NDArray[np.intp]

Strategy = Literal["joint", "random", "diverse", "longest", "shortest", "middle", "hardest", "rethinking"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
_DOWN = Context(rounding=ROUND_FLOOR)  # 28 digits, never rounded up to the next whole row


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What selection knows of a pool: one entry per row in every array, in pool order.

    difficulty: higher is harder, NaN = no score; an infinite one raises UsageError.
    question_group: any integers; rows with the same one ask the same question.
    category: codes, lower ones first in `diverse`; any negative one = no category.
    dropped: code into REASONS of the first row rule that dropped the row (see first_reason), ELIGIBLE = none.
    """

    difficulty: NDArray[np.float64]
    trace_tokens: Integers
    total_tokens: Integers
    rethinking_tokens: Integers
    question_group: Integers
    category: Integers
    dropped: Integers

    def __post_init__(self) -> None:
        shapes = {field.name: getattr(self, field.name).shape for field in fields(self)}
        if set(shapes.values()) != {(len(self.dropped),)}:
            raise ValueError(f"every array needs one entry per row of the pool; got the shapes {shapes}")
        if (infinite := np.isinf(self.difficulty)).any():
            row = infinite.argmax()
            raise UsageError(f"difficulty of row {row} is infinite; give a finite number or leave it empty")

    def take(self, rows: NDArray[np.intp]) -> Candidates:
        """The given rows, in the given order."""
        return Candidates(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The chosen rows, best first, and for every row of the pool its ranks and its fate."""

    rows: NDArray[np.uint32]
    reason: NDArray[np.int8]  # per pool row: OUTCOMES[code]
    rank_difficulty: Ranks  # per pool row, 1 = hardest; NaN = dropped by a row rule
    rank_length: Ranks  # per pool row, 1 = longest; NaN likewise
    rank_joint: Ranks  # per pool row, smallest is best; NaN likewise
    eligible: int
    asked: int | None  # rows asked for, which may be more than there were to take; None under a token budget
    strategy: Strategy
    params: Mapping[str, object]  # the other options of `Ranked.select`: enough to make it again


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """The eligible rows of a pool, ranked once (METHOD 4, 9.1): any number of choices can be made from them.

    They are held longest trace first, ties the earlier row, so that any stable sort breaks ties as METHOD 9.1 does.
    """

    rows: Rows  # positions in the pool
    pool: Candidates  # of these rows
    dropped: Integers  # per pool row, as in Candidates
    rank_difficulty: Ranks
    rank_length: Ranks
    group: Rows  # question groups as small numbers from 0 on
    largest_group: int

    def select(
        self,
        *,
        strategy: Strategy = "joint",
        fraction: Decimal | float | str | None = None,
        rows: int | None = None,
        token_budget: int | None = None,
        weight: float = BEST_WEIGHT,
        seed: int = 0,
        per_question: int = 1,
    ) -> Selection:
        """Choose rows by one strategy: a fraction of the eligible rows, a number, or what a token budget holds.

        Goes down the strategy's order and passes over a row whose question group already holds `per_question`
        chosen rows (0 = no cap) or whose total_tokens do not fit into what is left of the budget. Where fewer
        rows can be taken than asked for, all of them are. Raises UsageError unless exactly one of the three sizes
        is given, and for a value that is out of range.
        """
        fraction = None if fraction is None else parse_fraction(str(fraction))  # 0.1 is a tenth, not nearly one
        sizes = {"fraction": fraction, "rows": rows, "token_budget": token_budget}
        check_choice(sizes, strategy=strategy, weight=weight, seed=seed, per_question=per_question)
        asked = rows if fraction is None else rows_of_fraction(fraction, len(self.rows))
        cap = self.cap_of(per_question)
        queues = _queues(strategy, self, weight, seed)
        if len(queues) == 1 and token_budget is None:
            chosen = self._first(queues[0], cap, asked)
        elif len(queues) == 1 and token_budget is not None:
            chosen = _in_budget(queues[0], self.group, self.pool.total_tokens, cap, token_budget)
        else:
            tokens = self.pool.total_tokens
            chosen = _in_turns(queues, self.group, tokens, cap=cap, stop=asked, budget=token_budget)
        reason = self._reasons(chosen, cap, RANKED_BELOW if token_budget is None else OVER_BUDGET)
        joint = weighted_rank(self.rank_difficulty, self.rank_length, weight=weight)
        return Selection(
            rows=self.rows[chosen].astype(np.uint32),
            reason=reason,
            rank_difficulty=self.spread(self.rank_difficulty, np.nan),
            rank_length=self.spread(self.rank_length, np.nan),
            rank_joint=self.spread(joint, np.nan),
            eligible=len(self.rows),
            asked=asked,
            strategy=strategy,
            params=sizes | {"weight": weight, "seed": seed, "per_question": per_question},
        )

    def take(self, order: Rows, rows: int, per_question: int) -> NDArray[np.int8]:
        """The reasons of all rows of the pool, codes into OUTCOMES, where so many are taken from the front of an order;
        what `select` gives for the same order, without ranks."""
        cap = self.cap_of(per_question)
        return self._reasons(self._first(order, cap, rows), cap, RANKED_BELOW)

    def cap_of(self, per_question: int) -> int:
        """The cap in force; without one as many as the largest group has."""
        return per_question or max(1, self.largest_group)

    def joint_order(self, weight: float) -> Rows:
        """Positions within `rows`, the smallest joint rank first."""
        return joint_order(self.rank_difficulty, self.rank_length, weight=weight)

    def _first(self, order: Rows, cap: int, stop: int | None) -> Rows:
        """The first `stop` rows of an order that the cap leaves; what it leaves of a part does not hang on the rest."""
        if cap >= self.largest_group:
            return order[:stop]
        part = len(order) if stop is None else 2 * stop
        taken = _under_cap(order[:part], self.group, cap)
        if part < len(order) and len(taken) < (stop or 0):
            taken = _under_cap(order, self.group, cap)
        return taken[:stop]

    def _reasons(self, chosen: Rows, cap: int, unchosen: int) -> NDArray[np.int8]:
        reason = self.dropped.astype(np.int8)
        reason[self.rows] = _fates(chosen, self.group, cap, unchosen)
        return reason

    def spread(self, values: NDArray[Any], missing: float) -> NDArray[Any]:
        """Values of these rows at their positions in the pool, `missing` at those of the others."""
        spread = np.full(len(self.dropped), missing, values.dtype)
        spread[self.rows] = values
        return spread


def rank(candidates: Candidates) -> Ranked:
    """Rank the rows that no row rule dropped."""
    eligible = np.flatnonzero(candidates.dropped == ELIGIBLE)
    tokens = candidates.trace_tokens[eligible].astype(np.int64)
    rows = eligible[smallest_first(tokens.max(initial=0) - tokens)]
    pool = candidates.take(rows)
    group = _small(pool.question_group)
    return Ranked(
        rows=rows,
        pool=pool,
        dropped=candidates.dropped,
        rank_difficulty=descending_rank(pool.difficulty),
        rank_length=mean_ranks(pool.trace_tokens),  # longest first already
        group=group,
        largest_group=int(np.bincount(group).max(initial=0)),
    )


def parse_fraction(text: str) -> Decimal:
    """Read "0.1", "10%" or "1e-1". Raises UsageError for what is no number above 0 and at most 1."""
    number = text.strip()
    try:
        value = _DOWN.divide(Decimal(number[:-1]), 100) if number.endswith("%") else Decimal(number)
    except DecimalException:
        value = Decimal("NaN")
    return _checked_fraction(value, text)


def rows_of_fraction(fraction: Decimal, eligible: int) -> int:
    """How many rows a fraction of the eligible ones is: rounded down in decimal, at least 1 (METHOD 9.5)."""
    _checked_fraction(fraction, str(fraction))
    return max(1, int(_DOWN.multiply(fraction, eligible)))


def _checked_fraction(value: Decimal, text: str) -> Decimal:
    if not (value.is_finite() and 0 < value <= 1):
        raise UsageError(f"fraction must be above 0 and at most 1, e.g. 0.10 or 10%; got {text!r:.40}")
    return value


def check_choice(sizes: Mapping[str, object], *, strategy: str, weight: float, seed: int, per_question: int) -> None:
    """Raise UsageError unless exactly one size is given, and all values are in range."""
    given = {name: size for name, size in sizes.items() if size is not None}
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise UsageError(f"give one of fraction, rows and token_budget, e.g. a fraction of 0.10; got {got}")
    if strategy not in STRATEGIES:
        raise UsageError(f"strategy must be one of {', '.join(STRATEGIES)}; got {strategy!r}")
    least = {"rows": 1, "token_budget": 1, "seed": 0, "per_question": 0}
    for name, value in (given | {"seed": seed, "per_question": per_question}).items():
        if isinstance(value, int) and value < least[name]:
            raise UsageError(f"{name} must be at least {least[name]}; got {value}")
    refuse_weight(weight)


def _small(groups: Integers) -> Rows:
    """Groups as numbers from 0 on that are not much larger than there are rows."""
    low, high = int(groups.min(initial=0)), int(groups.max(initial=0))
    if low >= 0 and high < 4 * len(groups):
        return groups.astype(np.intp)
    _, numbered = np.unique(groups, return_inverse=True)
    return numbered


# Below, a row is a position within `Ranked.rows`: longest trace first, ties the earlier row of the pool.


def _queues(strategy: Strategy, ranked: Ranked, weight: float, seed: int) -> list[Rows]:
    """The order in which rows are tried: one queue; for `diverse` one a category, and these take turns."""
    rows = ranked.rows
    match strategy:
        case "random":
            return [_in_pool_order(rows)[np.random.default_rng(seed).permutation(len(rows))]]
        case "diverse":
            return _shuffled_by_category(ranked.pool.category, _in_pool_order(rows), seed)
        case "shortest":
            return [np.lexsort((rows, ranked.pool.trace_tokens))]  # ties: the earlier row
        case "middle":
            return [_from_the_middle(len(rows))]
        case "rethinking":
            return [np.argsort(-ranked.pool.rethinking_tokens.astype(np.int64), kind="stable")]
        case "longest":
            return [np.arange(len(rows))]
        case "hardest":
            return [np.argsort(ranked.rank_difficulty, kind="stable")]
        case "joint":
            return [ranked.joint_order(weight)]


def _in_pool_order(rows: Rows) -> Rows:
    return np.argsort(rows)


def _from_the_middle(rows: int) -> Rows:
    """The rows around the median first; of two as far from it, the longer one."""
    distance = np.abs(2 * np.arange(rows) - (rows - 1))
    nearest: Rows = np.argsort(distance, kind="stable")  # as far: the earlier, that is the longer, row
    return nearest


def _shuffled_by_category(category: Integers, in_pool_order: Rows, seed: int) -> list[Rows]:
    """One random queue a category, in the order of the codes; rows without a category come last."""
    code = np.where(category < 0, np.iinfo(np.int64).max, category.astype(np.int64))
    shuffled = in_pool_order[np.random.default_rng(seed).permutation(len(code))]
    grouped = shuffled[np.argsort(code[shuffled], kind="stable")]  # within a category: the shuffled order
    return np.split(grouped, np.flatnonzero(np.diff(code[grouped])) + 1)


def _under_cap(order: Rows, group: Rows, cap: int) -> Rows:
    """What _in_turns takes from one queue without a budget, in column form: the first `cap` of each group."""
    groups = group[order]
    if cap == 1:
        first = np.empty(int(groups.max(initial=-1)) + 1, np.intp)
        first[groups[::-1]] = np.arange(len(order))[::-1]  # of equal groups the last one written stays: the first
        leads: NDArray[np.bool_] = first[groups] == np.arange(len(order))
        return order[leads]
    by_group = np.argsort(groups, kind="stable")  # within a group: the given order
    ordered = groups[by_group]
    turn = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    allowed = np.empty(len(order), np.bool_)
    allowed[by_group] = turn < cap
    return order[allowed]


def _in_budget(order: Rows, group: Rows, tokens: Integers, cap: int, budget: int) -> Rows:
    """What _in_turns takes from one queue under a budget, in column form: up to the first row that does not fit, then
    on from there with what is left, for which ever fewer rows are small enough."""
    chosen, left = np.empty(0, np.intp), budget
    rest = order[tokens[order] <= left]
    while len(rest):
        allowed = _under_cap(np.concatenate([chosen, rest]), group, cap)[len(chosen) :]
        costs = np.cumsum(tokens[allowed], dtype=np.int64)
        fit = int(np.searchsorted(costs, left, side="right"))
        chosen = np.concatenate([chosen, allowed[:fit]])
        if fit == len(allowed):
            break
        left -= int(costs[fit - 1])
        rest = rest[int((rest == allowed[fit]).argmax()) + 1 :]
        rest = rest[tokens[rest] <= left]
    return chosen


def _in_turns(
    queues: list[Rows], group: Rows, tokens: Integers, *, cap: int, stop: int | None, budget: int | None
) -> Rows:
    """Each queue in turn gives its next row that its question group and the token budget still have room for.

    So a row that is passed over costs its queue no turn, and a queue that has run out leaves its turns to the
    others. Only chosen rows count against cap and budget.
    """
    groups, costs = group.tolist(), tokens.tolist()
    stop = len(groups) if stop is None else stop
    left = sum(costs) if budget is None else budget
    held = [0] * (max(groups, default=-1) + 1)
    chosen: list[int] = []
    waiting = deque(iter(queue.tolist()) for queue in queues)
    while waiting and len(chosen) < stop:
        queue = waiting.popleft()
        for row in queue:
            if held[groups[row]] < cap and costs[row] <= left:
                held[groups[row]] += 1
                left -= costs[row]
                chosen.append(row)
                waiting.append(queue)
                break
    return np.array(chosen, np.intp)


def _fates(chosen: Rows, group: Rows, cap: int, unchosen: int) -> NDArray[np.int8]:
    """Codes into OUTCOMES: chosen, else in a group that is full of chosen rows, else `unchosen`."""
    full = np.bincount(group[chosen], minlength=int(group.max(initial=0)) + 1) >= cap
    fates = np.where(full[group], SAME_QUESTION, unchosen).astype(np.int8)
    fates[chosen] = SELECTED
    return fates
