"""Where the trace is inside a response (METHOD 9.4): think tags of several model families, and whole-chat strings.

A response is head + trace + tail, nothing lost: the head ends with the opening tag, the tail begins with the
closing one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.utf8 import Bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAGS = (
    ("<think>", "</think>"),  # DeepSeek-R1, Qwen3, QwQ
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<Thought>", "</Thought>"),  # Marco-o1
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # Sky-T1, Bespoke-Stratos, OpenThoughts
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("◁think▷", "◁/think▷"),  # Kimi
    ("[THINK]", "[/THINK]"),  # Magistral
)
OPENED, CLOSED = "<think>\n", "\n</think>"
"""What `wrap` puts around a trace that brings no tags of its own."""
_EVERY_TAG = [tag for pair in TAGS for tag in pair]
_OPENING = [opening for opening, _ in TAGS]
_CLOSING = [close for _, close in TAGS]
_OPENS = rf"\A\s*(?:{'|'.join(map(re.escape, _OPENING))})"
_ANSWER_WRAPPERS = (
    ("<Output>", "</Output>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ("<answer>", "</answer>"),
)


def has_tags(texts: pl.Series) -> pl.Series:
    """Whether each text holds any opening or closing think tag; null stays null."""
    return texts.str.contains_any(_EVERY_TAG)


def is_opening(text: pl.Expr) -> pl.Expr:
    """Whether a text is nothing but an opening tag."""
    return text.str.strip_chars().is_in(_OPENING)


def split_response(response: pl.Series) -> pl.DataFrame:
    """Cut each response into `head`, `trace`, `tail` (strings), `opened` and `closed` (tags found, Booleans).

    Opened and never closed: the trace runs to the end. Closed and never opened: it starts at the beginning. Neither:
    the whole response is the trace. Of several families the first that opens and closes counts, else one that
    closes, else the first that opens: the others are spoken of. What stands before a closing tag that nothing opens
    (its chat template did) is all trace, unless it begins with another family's tag. A null response gives nulls.
    """
    placed = _placed(response)
    parts = _parted(response, placed)
    if len(rows := _opened_before(parts)):
        again = _placed_of_several(response[rows])
        placed = pl.DataFrame([column.scatter(rows, again[column.name]) for column in placed.iter_columns()])
        parts = _parted(response, placed)
    return parts


def _placed(response: pl.Series) -> pl.DataFrame:
    """Where each trace starts and ends, `opened` and `closed`, by the first family of which a text has a tag."""
    begun = _begun(response)
    for tags in TAGS:
        frame = _find(begun, *tags).collect()
        begun = frame.lazy()
        free = response.filter(~frame["opened"] & ~frame["closed"])
        if free.is_empty() or not has_tags(free).any():
            break
    return frame.select("start", "end", "opened", "closed")


def _begun(response: pl.Series) -> pl.LazyFrame:
    length = pl.col("text").str.len_bytes().cast(pl.Int64)
    frame = pl.LazyFrame({"text": response})
    return frame.with_columns(start=pl.lit(0, pl.Int64), end=length, opened=pl.lit(False), closed=pl.lit(False))


def _parted(response: pl.Series, placed: pl.DataFrame) -> pl.DataFrame:
    ends = placed["end"].fill_null(0) if response.null_count() else placed["end"]
    places = np.stack([placed["start"].to_numpy(), ends.to_numpy()], axis=1)
    parts = dict(zip(("head", "trace", "tail"), Bytes.of(response).parted(places), strict=True))
    if response.null_count():
        said = response.is_not_null()
        parts = {name: part.zip_with(said, pl.Series([None], dtype=pl.String)) for name, part in parts.items()}
    return pl.DataFrame({**parts, "opened": placed["opened"], "closed": placed["closed"]})


def _opened_before(parts: pl.DataFrame) -> NDArray[np.int64]:
    """Rows where another family has a tag before the one that was found: in the head, which ends with that one if it
    opens (a closing tag counts where the one that was found is not closed), or at the very beginning of a trace that is
    only closed."""
    head, trace = pl.col("head").str.head(-1), pl.col("trace").str.contains(_OPENS)
    opens, tagged = head.str.contains_any(_OPENING), head.str.contains_any(_EVERY_TAG)
    begun = pl.when("closed").then(opens).otherwise(tagged)
    before = pl.when("opened").then(begun).otherwise(trace & pl.col("closed")).fill_null(False)
    return np.flatnonzero(parts.select(before).to_series().to_numpy())


def _placed_of_several(response: pl.Series) -> pl.DataFrame:
    """As `_placed` gives it, for texts with tags of several families."""
    begun = _begun(response)
    frames = [_find(begun, *tags).collect() for tags in TAGS]
    starts, opened, closed = (
        np.stack([frame[name].to_numpy() for frame in frames]) for name in ("start", "opened", "closed")
    )
    rank = np.select([opened & closed, closed, opened], [0, 1, 2], 3)
    best: list[int] = np.lexsort((starts, rank), axis=0)[0].tolist()
    chosen: pl.DataFrame = pl.concat([frames[family].slice(row, 1) for row, family in enumerate(best)])
    return chosen.select("start", "end", "opened", "closed")


def _find(frame: pl.LazyFrame, open_tag: str, close_tag: str) -> pl.LazyFrame:
    """Place one family's tags in the rows where no earlier family was found."""
    text = pl.col("text")
    frame = frame.with_columns(
        at_open=text.str.find(open_tag, literal=True).cast(pl.Int64),
        at_close=text.str.find(close_tag, literal=True).cast(pl.Int64),
    )
    free = ~pl.col("opened") & ~pl.col("closed")
    closed = free & pl.col("at_close").is_not_null()
    before_close = pl.col("at_close").is_null() | (pl.col("at_open") < pl.col("at_close"))
    opened = free & pl.col("at_open").is_not_null() & before_close
    return frame.with_columns(
        start=pl.when(opened).then(pl.col("at_open") + len(open_tag.encode())).otherwise("start"),
        end=pl.when(closed).then("at_close").otherwise("end"),
        opened=pl.col("opened") | opened,
        closed=pl.col("closed") | closed,
    ).drop("at_open", "at_close")


def answer_of(tail: pl.Expr) -> pl.Expr:
    """The final text that a tail holds: without the closing tag, known wrappers and outer white space."""
    answer = tail.str.strip_chars()
    for close in _CLOSING:
        answer = answer.str.strip_prefix(close)
    answer = answer.str.strip_chars()
    for start, end in _ANSWER_WRAPPERS:
        answer = answer.str.strip_prefix(start).str.strip_suffix(end)
    return answer.str.strip_chars()


def wrap(trace: pl.Series, answer: pl.Series) -> pl.DataFrame:
    """Head, trace and tail for a pool that keeps trace and answer in columns of their own (the `<think>` convention).

    A trace that brings its own tags keeps them: an opening one at its beginning, a closing one on a line of its own or
    at its end; others are spoken of. `closed` is true wherever an answer follows. A null trace beside an answer is an
    empty one; where both are null, so is the trace.
    """
    given = pl.coalesce("given", pl.when(pl.col("answer").is_not_null()).then(pl.lit("")))
    parts = split_response(trace).with_columns(given=trace, answer=answer)
    leads = is_opening(pl.col("head"))
    ends = pl.col("trace").str.ends_with("\n") | pl.col("tail").str.strip_chars().is_in(_CLOSING)
    opened = pl.col("opened") & leads
    closed = pl.col("closed") & pl.when("opened").then(leads).otherwise(ends)
    answered = pl.col("answer").fill_null("") != ""
    return parts.select(
        head=pl.when(opened | closed).then("head").otherwise(pl.lit(OPENED)),
        trace=pl.when(opened | closed).then("trace").otherwise(given),
        tail=pl.when(closed).then(pl.col("tail").str.strip_chars_end()).otherwise(pl.lit(CLOSED))
        + pl.when(answered).then(pl.lit("\n\n") + pl.col("answer")).otherwise(pl.lit("")),
        opened=pl.lit(True),
        closed=closed | ~opened | answered,
    )


# --- whole-chat strings ---------------------------------------------------------------------------------------------


_TURNS = (  # user marker, assistant marker, end of a turn
    ("<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>"),
    ("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    (
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|eot_id|>",
    ),
)
_CHANNEL_USER = "<|start|>user<|message|>"
_CHANNEL_TRACE = "<|channel|>analysis<|message|>"
_CHANNEL_FINAL = "<|channel|>final<|message|>"


def is_chat(texts: pl.Series) -> bool:
    """Whether most of the texts are whole chats in a template known here."""
    known = texts.drop_nulls().str.contains_any([*(assistant for _, assistant, _ in _TURNS), _CHANNEL_USER])
    return 2 * known.sum() > len(known)


def split_chats(texts: pl.Series) -> pl.DataFrame:
    """`question` and `response` of whole chats (strings); null where no template fits, or there are more turns."""
    turns = [_turn(text) if text is not None else (None, None) for text in texts]
    schema = {"question": pl.String, "response": pl.String}
    return pl.DataFrame(turns, schema=schema, orient="row")


def _turn(text: str) -> tuple[str | None, str | None]:
    if text.count(_CHANNEL_USER) == 1:
        return _channel_turn(text)
    for user, assistant, end in _TURNS:
        before, found, response = text.partition(assistant)
        if found and text.count(user) == text.count(assistant) == 1 and user in before:
            return before.partition(user)[2].partition(end)[0].strip(), response.partition(end)[0]
    return None, None


def _channel_turn(text: str) -> tuple[str, str]:
    """gpt-oss: the channels' markers belong to its template, so the response is written anew with think tags."""
    question, _, reply = text.partition(_CHANNEL_USER)[2].partition("<|end|>")
    trace = reply.partition(_CHANNEL_TRACE)[2].partition("<|end|>")[0]
    if _CHANNEL_FINAL not in reply:
        return question.strip(), f"<think>\n{trace}"
    answer = reply.rpartition(_CHANNEL_FINAL)[2].partition("<|return|>")[0].partition("<|end|>")[0]
    return question.strip(), f"<think>\n{trace}\n</think>\n\n{answer}"
