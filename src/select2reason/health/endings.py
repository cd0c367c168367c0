"""How an example ends and how it is tagged: an end in mid-sentence at the pool's length ceiling, damaged think tags,
and a reply that runs on after its final answer.

A generation that was stopped at its limit of tokens leaves no mark in the text; but where many end in mid-sentence at
one length and few just below it, that length was the limit (`ceilings`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from select2reason.grading.extract import ANOTHER_QUESTION
from select2reason.tags import TAGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FINISHED = r"""[.!?…。！？।॥؟)\]}>"'`*$|:;”’」』）】》_✓✅☑□■∎]\s*\z"""
_CONCLUDED = r"(?i)(?:####|\banswer|\boption|\bchoice|答案|উত্তর)[^\n]{0,20}\s*\z"
_TAGS = [tag for pair in TAGS for tag in pair]
_TURNS = [  # of chat templates: a trainer takes them for the end of a turn, wherever they stand
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>"),
    *("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
]
_TAIL_CHARS = 1_000  # from the last box on: 99% of real replies have fewer than 550
_BOX = r"\\f?box(?:ed)?\b|boxed\{"
_ASKED_ANEW = r"boxed\{(?s:.)*" + ANOTHER_QUESTION
_BANDS = (0.03, 0.12)  # how near to a limit the lengths it stopped are, in this tokenizer and with their prompts
_LEAST_TOKENS = 512  # a ceiling below this is none
_LEAST_ROWS, _LEAST_SHARE = 8, 0.002  # that end in mid-sentence within the band, of all rows
_MOSTLY = 0.6  # least part of the rows within the band that end in mid-sentence
_PILED_UP = 4  # times as many as in the bands below and above
_ORDINARY = (
    0.25  # most of all shorter responses may end so: where an end in mid-sentence is the custom it tells nothing
)


def unfinished(response: pl.Expr) -> pl.Expr:
    """Whether a text ends in mid-sentence: neither with a stop, nor with what closes something, nor with an answer."""
    end = response.str.tail(120)
    return ~end.str.contains(_FINISHED) & ~end.str.contains(_CONCLUDED) & response.str.contains(r"\S")


def damaged_tags(head: pl.Expr, trace: pl.Expr, tail: pl.Expr) -> pl.Expr:
    """Whether think tags are nested or come twice (any in the trace, or more than one before it or after it), or the
    marks of a chat's turns stand in the midst of the response."""
    turn_ends = rf"(?:\s*(?:{_pattern(_TURNS)}))+\s*\z"  # where the mark of a turn's end belongs
    inside = pl.when(tail == "").then(trace).otherwise(tail).str.replace(turn_ends, "")
    return (
        trace.str.contains_any(_TAGS)
        | ((tail != "") & trace.str.contains_any(_TURNS))
        | inside.str.contains_any(_TURNS)
        | (head.str.count_matches(_pattern(_TAGS)) > 1)
        | (tail.str.count_matches(_pattern(_TAGS)) > 1)
    )


def _pattern(marks: Sequence[str]) -> str:
    return "|".join(mark.replace("|", r"\|").replace("[", r"\[").replace("]", r"\]") for mark in marks)


def runs_on(reply: pl.Expr) -> pl.Expr:
    """Whether a reply goes on for long from its last boxed answer on, or asks itself another question."""
    boxed = reply.str.contains(_BOX)
    return boxed & (~reply.str.tail(_TAIL_CHARS).str.contains(_BOX) | reply.str.contains(_ASKED_ANEW))


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Where generations were stopped: those of more than `low` and up to `top` tokens that end in mid-sentence."""

    low: int
    top: int


def ceilings(tokens: NDArray[np.integer[Any]], unfinished: NDArray[np.bool_]) -> list[Ceiling]:
    """The lengths at which generations were stopped, as the distribution shows it; longest first, mostly none or one.

    tokens: of each example, (n,); unfinished: whether it ends in mid-sentence, (n,). A limit may have been one of the
    response or of the whole: the bands are wide enough for either.
    """
    lengths = np.sort(tokens.astype(np.int64))
    open_ended = np.sort(tokens[unfinished].astype(np.int64))
    found: list[Ceiling] = []
    for band in _BANDS:
        while (
            one := _ceiling(lengths, open_ended, band, least=max(_LEAST_ROWS, _LEAST_SHARE * len(tokens)))
        ) is not None:
            found.append(one)
            lengths, open_ended = (some[(some <= one.low) | (some > one.top)] for some in (lengths, open_ended))
    return sorted(found, key=lambda one: -one.top)


def _ceiling(lengths: NDArray[np.int64], open_ended: NDArray[np.int64], band: float, *, least: float) -> Ceiling | None:
    """The band with the most open ends that stands out from those below and above it; None where none does."""
    top = np.unique(open_ended[open_ended >= _LEAST_TOKENS])
    low = (top * (1 - band)).astype(np.int64)
    within = _between(open_ended, low, top)
    beside = np.maximum(
        _between(open_ended, top * (1 - 2 * band), low), _between(open_ended, top, (top * (1 + band)).astype(np.int64))
    )
    shorter, open_shorter = (np.searchsorted(ordered, low, side="right") for ordered in (lengths, open_ended))
    piled = (within >= least) & (within >= _MOSTLY * _between(lengths, low, top)) & (within >= _PILED_UP * beside)
    piled &= open_shorter <= _ORDINARY * shorter
    if not piled.any():
        return None
    best = np.flatnonzero(piled)[np.argmax(within[piled])]
    return Ceiling(int(low[best]), int(top[best]))


def at_ceiling(tokens: pl.Expr, found: Sequence[Ceiling]) -> pl.Expr:
    """Whether an example is as long as one of the ceilings."""
    near = [(tokens > one.low) & (tokens <= one.top) for one in found]
    return pl.any_horizontal(pl.lit(False), *near)


def _between(ordered: NDArray[np.int64], low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.int64]:
    """How many are above `low` and at most `high`."""
    return np.searchsorted(ordered, high, side="right") - np.searchsorted(ordered, low, side="right")
