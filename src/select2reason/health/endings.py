"""How an example ends and how it is tagged: an end in mid-sentence at the pool's length ceiling, damaged think tags,
and a reply that runs on after its final answer.

A generation that was stopped at its limit of tokens leaves no mark in the text; but where many end in mid-sentence at
one length and few just below it, that length was the limit (`ceilings`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from select2reason.grading.extract import ANOTHER_QUESTION
from select2reason.tags import TAGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FINISHED = r"""[.!?…。！？।॥؟)\]}>"'`*$|:;”’」』）】》_✓✅☑□■∎]\s*\z"""
_TAGS = [tag for pair in TAGS for tag in pair]
_TURNS = [  # of chat templates: a trainer takes them for the end of a turn, wherever they stand
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>"),
    *("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
]
_TAIL_CHARS = 1_000  # after the last box: 99% of real replies have fewer than 550
_ASKED_ANEW = r"boxed\{(?s:.)*" + ANOTHER_QUESTION
_BAND = 0.03  # a generation's length in another tokenizer, or with its prompt, is this near to its limit
_LEAST_TOKENS = 512  # a ceiling below this is none
_LEAST_ROWS, _LEAST_SHARE = 5, 0.002  # that end in mid-sentence within the band, of all rows
_MOSTLY = 0.5  # least part of the rows within the band that end in mid-sentence
_PILED_UP = 4  # times as many as in the band below


def unfinished(response: pl.Expr) -> pl.Expr:
    """Whether a text ends in mid-sentence: neither with a stop nor with what closes something."""
    return ~response.str.tail(20).str.contains(_FINISHED) & (response.str.strip_chars() != "")


def damaged_tags(head: pl.Expr, trace: pl.Expr, tail: pl.Expr) -> pl.Expr:
    """Whether think tags are nested or come twice (any in the trace, or more than one before it or after it), or the
    marks of a chat's turns stand in the midst of the response."""
    inside = tail.str.strip_chars_end()
    for turn in _TURNS:
        inside = inside.str.strip_suffix(turn)
    return (
        trace.str.contains_any([*_TAGS, *_TURNS])
        | inside.str.contains_any(_TURNS)
        | (head.str.count_matches(_tag_pattern()) > 1)
        | (tail.str.count_matches(_tag_pattern()) > 1)
    )


def _tag_pattern() -> str:
    return "|".join(tag.replace("|", r"\|").replace("[", r"\[").replace("]", r"\]") for tag in _TAGS)


def runs_on(reply: pl.Expr) -> pl.Expr:
    """Whether a reply goes on for long after its last boxed answer, or asks itself another question."""
    boxed = reply.str.contains("boxed{", literal=True)
    return boxed & (~reply.str.tail(_TAIL_CHARS).str.contains("boxed", literal=True) | reply.str.contains(_ASKED_ANEW))


def ceilings(tokens: NDArray[np.integer[Any]], unfinished: NDArray[np.bool_]) -> list[int]:
    """The lengths at which generations were stopped, as the distribution shows it; longest first, mostly none or one.

    tokens: of each response, (n,); unfinished: whether it ends in mid-sentence, (n,).
    """
    lengths = np.sort(tokens.astype(np.int64))
    open_ended = np.sort(tokens[unfinished].astype(np.int64))
    least = max(_LEAST_ROWS, _LEAST_SHARE * len(tokens))
    found: list[int] = []
    while len(open_ended) and open_ended[-1] >= _LEAST_TOKENS:
        top = np.unique(open_ended[open_ended >= _LEAST_TOKENS])
        within = _between(open_ended, top * (1 - _BAND), top)
        below = _between(open_ended, top * (1 - 2 * _BAND), top * (1 - _BAND))
        every = _between(lengths, top * (1 - _BAND), top)
        piled = (within >= least) & (within >= _MOSTLY * every) & (within >= _PILED_UP * below)
        if not piled.any():
            break
        best = int(top[np.flatnonzero(piled)[np.argmax(within[piled])]])
        found.append(best)
        low = best * (1 - _BAND)
        lengths = lengths[(lengths <= low) | (lengths > best)]
        open_ended = open_ended[(open_ended <= low) | (open_ended > best)]
    return sorted(found, reverse=True)


def at_ceiling(tokens: pl.Expr, found: Sequence[int]) -> pl.Expr:
    """Whether a response is as long as one of the ceilings."""
    near = [(tokens > top * (1 - _BAND)) & (tokens <= top) for top in found]
    return pl.any_horizontal(pl.lit(False), *near)


def _between(ordered: NDArray[np.int64], low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.int64]:
    """How many are above `low` and at most `high`."""
    return np.searchsorted(ordered, high, side="right") - np.searchsorted(ordered, low, side="right")
