"""Which rows are shown, and in which order: filters, a search and a sort over a choice.

Every filter is a mask over the whole pool; nothing here reads text but the search, which goes through the questions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from select2reason.errors import UsageError
from select2reason.reasons import OUTCOMES
from select2reason.view.explored import FLAGS, VERDICTS, Choice, Explored, Mask, Places

SORTS = ("rank", "difficulty", "trace_tokens", "total_tokens", "rethinking_tokens", "row")
SHOWN = ("all", "selected", "in", "out", "eligible", *OUTCOMES[:-1])
"""What `Query.shown` may be: `in` comes in by this choice and was not selected, `out` goes out."""
NO_CATEGORY = "none"
"""In `Query.category`: rows without one; `=NAME` are those of a category, `""` is any."""
_SEARCHES_KEPT = 8
_WORDS = re.compile(r'"([^"]+)"|(\S+)')


@dataclass(frozen=True, slots=True)
class Query:
    """What to show; a bound is included, None = no bound, and a row without a value is outside of any bound."""

    shown: str = "all"
    flag: str = ""
    answer: str = ""
    category: str = ""
    search: str = ""
    least_tokens: float | None = None
    most_tokens: float | None = None
    least_difficulty: float | None = None
    most_difficulty: float | None = None
    sort: str = "rank"
    descending: bool = False

    def __post_init__(self) -> None:
        for name, value, known in (
            ("show", self.shown, SHOWN),
            ("flag", self.flag, ("", *FLAGS)),
            ("answer", self.answer, ("", *VERDICTS)),
            ("sort", self.sort, SORTS),
        ):
            if value not in known:
                raise UsageError(f"{name} is one of {', '.join(known)}; got {value!r}")


class Finder:
    """Answers queries over one explored pool; sorted orders and searches are remembered."""

    def __init__(self, explored: Explored) -> None:
        self._explored = explored
        self._sorted = lru_cache(len(SORTS))(self._by_column)
        self._found = lru_cache(_SEARCHES_KEPT)(self._search)

    def rows(self, query: Query, choice: Choice) -> Places:
        """Positions of all rows that the query asks for, in its order; rows without a value come last."""
        if query.sort == "rank":
            order = self._ranked(choice.weight, query.descending)
        else:
            order = self._sorted(query.sort, query.descending)
        mask = self._mask(query, choice)
        found: Places = order if mask is None else order[mask[order]]
        return found

    def _ranked(self, weight: float, descending: bool) -> Places:
        order, ranked = self._explored.order(weight).rows, len(self._explored.ranked.rows)
        return np.concatenate([order[:ranked][::-1], order[ranked:]]) if descending else order

    def _mask(self, query: Query, choice: Choice) -> Mask | None:
        every: list[Mask] = []
        if query.shown != "all":
            every.append(_shown(query.shown, choice, self._explored))
        if query.flag:
            every.append(_true(self._explored.table[query.flag]))
        if query.answer:
            every.append(self._explored.verdicts == VERDICTS.index(query.answer))
        if query.category:
            every.append(self._of_category(query.category))
        every.extend(_within(self._explored.trace_tokens, query.least_tokens, query.most_tokens))
        every.extend(_within(self._explored.difficulty, query.least_difficulty, query.most_difficulty))
        if query.search.strip():
            every.append(self._found(query.search.strip()))
        if not every:
            return None
        mask: Mask = np.logical_and.reduce(every)
        return mask

    def _of_category(self, category: str) -> Mask:
        categories = self._explored.categories
        own = category.removeprefix("=")
        mask = categories.is_null() if category == NO_CATEGORY else (categories == own).fill_null(False)
        of_it: Mask = mask.to_numpy()
        return of_it

    def _search(self, words: str) -> Mask:
        """Rows whose question holds every word, in any case; what stands in quotes is one; `row:N` finds that row."""
        if match := re.fullmatch(r"row:? ?([\d,]{1,15})", words, re.IGNORECASE):
            mask: Mask = np.arange(self._explored.pool.rows) == int(match[1].replace(",", "") or -1)
            return mask
        return self._explored.pool.asking([quoted or word for quoted, word in _WORDS.findall(words)])

    def _by_column(self, sort: str, descending: bool) -> Places:
        if sort == "row":
            rows = np.arange(self._explored.pool.rows, dtype=np.int32)
            return rows[::-1] if descending else rows
        column = self._explored.table[sort]
        placed = column.arg_sort(descending=descending, nulls_last=True)
        return placed.to_numpy().astype(np.int32)


def _shown(shown: str, choice: Choice, explored: Explored) -> Mask:
    recorded = explored.recorded
    ways: dict[str, Callable[[], Mask]] = {
        "selected": lambda: choice.selected,
        "in": lambda: choice.selected & ~recorded,
        "out": lambda: recorded & ~choice.selected,
        "eligible": lambda: explored.eligible,
    }
    return ways[shown]() if shown in ways else choice.reason == OUTCOMES.index(shown)


def _true(flag: pl.Series) -> Mask:
    return flag.fill_null(False).to_numpy()


def _within(values: NDArray[np.float64] | NDArray[np.uint32], least: float | None, most: float | None) -> list[Mask]:
    masks: list[Mask] = []
    if least is not None:
        masks.append(values >= least)  # NaN is in no range
    if most is not None:
        masks.append(values <= most)
    return masks
