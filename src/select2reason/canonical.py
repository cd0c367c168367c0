"""A layout applied: a batch of any columns as canonical ones (the other half of layouts.py).

One row per example, head + trace + tail being the response as it stands. What cannot be used is marked, never dropped
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
import polars as pl

from select2reason import tags
from select2reason.layouts import Layout

_ROLE_NAMES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant"}


def canonical(layout: Layout, frame: pl.DataFrame) -> pl.DataFrame:
    """The canonical columns of a batch, one row per example, in order; a row with n generations becomes n examples.

    `position` (UInt32, the row within the batch), `generation` (UInt32, null where the row holds one response),
    `question`, `head`, `trace`, `tail` (head + trace + tail is the response as it stands), `gold`, `category` (String),
    `correct` (Boolean, null = not said), `cut_off` (Boolean), `problem` (String: why the row cannot be used, or null),
    then the carried columns under their own names with the prefix `own:`.
    """
    frame = frame.with_columns(position=pl.int_range(pl.len(), dtype=pl.UInt32))
    frame = _one_response_a_row(layout, frame)
    texts = _texts(layout, frame)
    parts = texts.select(
        "question",
        "head",
        "trace",
        "tail",
        gold=_as_text(frame, layout.gold),
        category=_as_text(frame, layout.category),
        correct=_correct(layout, frame),
        cut_off=pl.col("opened") & ~pl.col("closed") | _said_cut_off(layout, frame),
        problem=_problem(),
    )
    own = frame.select(pl.col(name).alias(f"own:{name}") for name in _carried(layout, frame))
    return pl.concat([frame.select("position", "generation"), parts, own], how="horizontal")


def _carried(layout: Layout, frame: pl.DataFrame) -> list[str]:
    made = {"position", "generation"}
    return [name for name in frame.columns if name not in layout.used | layout.wide | made]


def _one_response_a_row(layout: Layout, frame: pl.DataFrame) -> pl.DataFrame:
    """Explode a list of generations; lists that run beside it (flags, finish reasons) give each its own element."""
    source = layout.response
    if source is None or not isinstance(frame.schema.get(source), pl.List):
        return frame.with_columns(generation=pl.lit(None, pl.UInt32))
    beside = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List) and _runs_beside(layout, name)]
    many = frame.with_columns(generation=pl.int_ranges(pl.col(source).list.len(), dtype=pl.UInt32))
    many = many.explode(source, "generation", empty_as_null=True, keep_nulls=True)
    return many.with_columns(pl.col(name).list.get("generation", null_on_oob=True) for name in beside)


def _runs_beside(layout: Layout, name: str) -> bool:
    if name == layout.response:
        return False
    return name in (*layout.correct, layout.complete, layout.finish) or name.startswith("correctness_")


def _texts(layout: Layout, frame: pl.DataFrame) -> pl.DataFrame:
    """question, head, trace, tail, opened, closed."""
    if layout.turns:
        return _from_turns(layout, frame)
    question = _question_text(layout, frame)
    if layout.chat:
        turns = tags.split_chats(frame[layout.chat])
        question = question if layout.question else turns["question"]
        return tags.split_response(turns["response"]).with_columns(question=question)
    if layout.trace:
        trace = _text_column(frame, layout.trace)
        answer = _text_column(frame, layout.answer)
        return tags.wrap(trace, answer).with_columns(question=question)
    return tags.split_response(_text_column(frame, layout.response)).with_columns(question=question)


def _text_column(frame: pl.DataFrame, name: str | None) -> pl.Series:
    return frame.select(_as_text(frame, name)).to_series()


def _as_text(frame: pl.DataFrame, name: str | None) -> pl.Expr:
    if name is None or name not in frame.columns:
        return pl.lit(pl.repeat(None, frame.height, dtype=pl.String, eager=True))
    column = frame[name]
    if isinstance(column.dtype, pl.List | pl.Array | pl.Struct):
        column = column.map_elements(_json_text, return_dtype=pl.String)
    return pl.lit(column.cast(pl.String, strict=False))


def _json_text(value: object) -> str:
    plain = value.to_list() if isinstance(value, pl.Series) else value
    if isinstance(plain, list) and len(plain) == 1 and isinstance(plain[0], str):
        return plain[0]
    return orjson.dumps(plain, default=str).decode()


def _question_text(layout: Layout, frame: pl.DataFrame) -> pl.Series:
    first, *more = layout.question or ("",)
    question = _text_column(frame, first)
    for name in more:  # Alpaca's second part follows on a line of its own, where there is one
        extra = _text_column(frame, name)
        parts = pl.DataFrame({"a": question, "b": extra})
        has_more = pl.col("b").fill_null("").str.strip_chars() != ""
        question = parts.select(pl.when(has_more).then(pl.col("a") + "\n" + pl.col("b")).otherwise("a")).to_series()
    return question


def _from_turns(layout: Layout, frame: pl.DataFrame) -> pl.DataFrame:
    lists = [frame[name].to_list() for name in layout.turns]
    rows = [_single_turn([turn for turns in row for turn in turns or []]) for row in zip(*lists, strict=True)]
    schema = {"question": pl.String, "trace": pl.String, "answer": pl.String}
    turns = pl.DataFrame(rows, schema=schema, orient="row")
    whole = tags.split_response(turns["answer"])
    apart = tags.wrap(turns["trace"], turns["answer"])
    both = whole.select(
        pl.when(turns["trace"].is_not_null()).then(apart[name]).otherwise(whole[name]).alias(name)
        for name in whole.columns
    )
    return both.with_columns(turns["question"])


def _single_turn(turns: Sequence[Mapping[str, object] | None]) -> tuple[str | None, str | None, str | None]:
    """Question, reasoning of its own field, and response of a chat with one user turn; nulls for any other chat."""
    said: dict[str, list[Mapping[str, object]]] = {"user": [], "assistant": []}
    for turn in turns:
        role = _ROLE_NAMES.get(str((turn or {}).get("role") or (turn or {}).get("from")))
        if turn and role:
            said[role].append(turn)
    if len(said["user"]) != 1 or len(said["assistant"]) != 1:
        return None, None, None
    question, reply = said["user"][0], said["assistant"][0]
    reasoning = reply.get("reasoning_content") or reply.get("thinking")
    return _said(question), str(reasoning) if reasoning else None, _said(reply)


def _said(turn: Mapping[str, object]) -> str | None:
    text = turn.get("content") if "content" in turn else turn.get("value")
    return text if isinstance(text, str) else None


def _problem() -> pl.Expr:
    """Why a row cannot be used at all; null where it can."""
    no_question = pl.col("question").is_null() | (pl.col("question").str.strip_chars() == "")
    return (
        pl.when(no_question)
        .then(pl.lit("no question (null, empty, or a chat that is not one question and one reply)"))
        .when(pl.col("trace").is_null())
        .then(pl.lit("no response (null)"))
        .otherwise(pl.lit(None, pl.String))
    )


def _correct(layout: Layout, frame: pl.DataFrame) -> pl.Expr:
    """The pool's own verdict: the first of its flags that says anything (METHOD 9.6)."""
    flags = [_flag(frame[name]) for name in layout.correct if name in frame.columns]
    return pl.coalesce([pl.lit(flag) for flag in flags]) if flags else _nothing(frame)


def _nothing(frame: pl.DataFrame) -> pl.Expr:
    return pl.lit(pl.repeat(None, frame.height, dtype=pl.Boolean, eager=True))


def _flag(column: pl.Series) -> pl.Series:
    """True, false or null from Booleans, 0 and 1, and the words true and false (also alone in a list)."""
    if isinstance(column.dtype, pl.List):
        column = column.list.first()
    if column.dtype == pl.String:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        return column.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
    if column.dtype.is_numeric():
        words_of_number = {1.0: True, 0.0: False}
        return column.cast(pl.Float64).replace_strict(words_of_number, default=None, return_dtype=pl.Boolean)
    if column.dtype == pl.Boolean:
        return column
    return pl.repeat(None, len(column), dtype=pl.Boolean, eager=True)


def _said_cut_off(layout: Layout, frame: pl.DataFrame) -> pl.Expr:
    """Whether the pool itself says that the generation ended early; what it does not say counts as no."""
    complete = _flag(frame[layout.complete]) if layout.complete in frame.columns else None
    said = pl.lit(complete.not_() if complete is not None else pl.repeat(False, frame.height, eager=True))
    if layout.finish in frame.columns:
        reason = _as_text(frame, layout.finish)
        said = said.fill_null(False) | (reason == "length").fill_null(False)
    return said.fill_null(False)
