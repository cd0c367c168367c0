"""One example as it is read: question, thoughts step by step, answer, and what is known of each step.

A step is a paragraph (METHOD 9.7). For each its tokens, whether it repeats an earlier one word for word, and whether
the trace is stuck there (METHOD 8). What is long is cut into pages of steps, and the cut is stated.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.errors import Select2ReasonError
from select2reason.health.loops import number_tokens, stuck_tokens
from select2reason.tokens import Tokenizer, load_tokenizer
from select2reason.trace import STEP_BREAK, find_repeats
from select2reason.utf8 import Bytes
from select2reason.view.pieces import Piece, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from select2reason.pool import Pool

PAGE_STEPS, PAGE_CHARS = 200, 120_000  # of the steps that are sent at once
_STEP_CHARS = 20_000  # shown of one step
_PART_CHARS = 40_000  # shown of a question, an answer
_STUCK = 0.5  # part of a step's tokens from which the step counts as looping
_GAP_TOKENS = 8  # tokens between two stuck ones that belong to them: numbers are left out of a second look
_KEPT = 8  # examples, so that a next page does not measure again


@dataclass(frozen=True, slots=True)
class Part:
    """A text in pieces; `left_out` characters follow that are not shown."""

    pieces: Sequence[Piece]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One paragraph of a trace. `number` counts from 1; `tokens` with the break that follows, null where the tokenizer
    cannot be had."""

    number: int
    text: Part
    tokens: int | None
    repeats: bool
    loops: bool


@dataclass(frozen=True, slots=True)
class Example:
    """One example, whole: the texts as the pool has them, and what each step of the trace is."""

    row: int
    question: str
    head: str
    trace: str
    tail: str
    gold: str | None
    steps: pl.DataFrame  # text, tokens (null: not known), repeats, loops

    @property
    def whole(self) -> str:
        """Question and response as plain text, nothing left out."""
        return f"{self.question}\n\n{self.head}{self.trace}{self.tail}\n"

    def page(self, first: int = 0) -> tuple[list[Step], int]:
        """The steps from `first` on that fit on a page, at least one, and how many the trace has."""
        shown: list[Step] = []
        chars = 0
        for at, (text, tokens, repeats, loops) in enumerate(self.steps.slice(first, PAGE_STEPS).iter_rows(), first):
            chars += min(len(text), _STEP_CHARS)
            if shown and chars > PAGE_CHARS:
                break
            shown.append(Step(at + 1, part(text, _STEP_CHARS, rethinking=True), tokens, repeats, loops))
        return shown, self.steps.height


def part(text: str, chars: int = _PART_CHARS, *, rethinking: bool = False) -> Part:
    """The first `chars` characters of a text, in pieces."""
    return Part(pieces(text[:chars], rethinking=rethinking), max(0, len(text) - chars))


class Reader:
    """Reads examples of one pool; the tokenizer is the selection's, and is loaded with the first example."""

    def __init__(self, pool: Pool, tokenizer: str) -> None:
        self._pool = pool
        self._name = tokenizer
        self._kept: OrderedDict[int, Example] = OrderedDict()
        self._lock = threading.Lock()

    @cached_property
    def _tokenizer(self) -> tuple[Tokenizer, NDArray[np.bool_]] | None:
        """With its tokens that are numbers; None where it cannot be had any more: a file that is gone, a Hub that is
        not reached."""
        try:
            tokenizer = load_tokenizer(self._name)
        except Select2ReasonError:
            return None
        return tokenizer, number_tokens(tokenizer)

    def read(self, row: int) -> Example:
        """The example of a row of the pool; a few are kept."""
        with self._lock:
            example = self._kept.get(row)
            if example is None:
                text = self._pool.few(np.array([row], np.uint32), ("question", "head", "trace", "tail", "gold"))
                question, head, trace, tail, gold = text.row(0)
                example = self._kept[row] = Example(row, question, head, trace, tail, gold, self._steps(trace))
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return example

    def _steps(self, trace: str) -> pl.DataFrame:
        repeats = find_repeats(Bytes.of(pl.Series([trace])))
        steps = repeats.texts(np.arange(len(repeats.rows))).alias("text")
        tokens, loops = self._counted(trace, steps)
        return pl.DataFrame([steps, tokens.alias("tokens"), pl.Series("repeats", repeats.again), loops.alias("loops")])

    def _counted(self, trace: str, steps: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Tokens of each step, and whether it loops; the last step is counted without a break."""
        if self._tokenizer is None:
            return pl.Series([None] * len(steps), dtype=pl.Int64), pl.Series([False] * len(steps))
        tokenizer, numbers = self._tokenizer
        broken = pl.concat([steps.head(len(steps) - 1) + STEP_BREAK, steps.tail(1)])
        tokens = tokenizer.count(broken).astype(np.int64)
        stuck = _closed(stuck_tokens(tokenizer.encode(pl.Series([trace])).ids, numbers))
        ends = np.minimum(np.cumsum(tokens), len(stuck))
        counted = np.concatenate([[0], np.cumsum(stuck)])
        within = np.diff(counted[ends], prepend=0)
        return pl.Series(tokens), pl.Series(within > _STUCK * np.maximum(tokens, 1))


def _closed(stuck: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Small gaps between stuck tokens are stuck."""
    at = np.flatnonzero(stuck)
    gaps = np.flatnonzero((np.diff(at) > 1) & (np.diff(at) <= _GAP_TOKENS))
    filled = stuck.copy()
    for gap in gaps.tolist():
        filled[at[gap] : at[gap + 1]] = True
    return filled
