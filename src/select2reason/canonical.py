"""A layout applied: a batch of any columns as canonical ones (the other half of layouts.py).

One row per example, head + trace + tail being the response as it stands. What cannot be used is marked, never dropped
here. A column that a batch lacks, or that has another type than its layout was found by, is read as far as it goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import orjson
import polars as pl

from select2reason import tags
from select2reason.frames import as_text, blank, repeated, texts
from select2reason.layouts import Layout
from select2reason.roles import REASONING

OWN = "own:"  # before the name of a carried column, so that none can clash with a canonical one
_ROLE_NAMES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant"}
_PASSED_OVER = ("system", "developer")
_CALLS = ("tool_calls", "function_call")  # beside a reply: it is none, or not the whole of it


def canonical(layout: Layout, frame: pl.DataFrame) -> pl.DataFrame:
    """The canonical columns of a batch, one row per example, in order; a row with n generations becomes n examples.

    `position` (UInt32, the row within the batch), `generation` (UInt32, null where the row holds one response),
    `question`, `head`, `trace`, `tail` (head + trace + tail is the response as it stands), `gold`, `category` (String),
    `correct` (Boolean, null = not said), `cut_off` (Boolean), `problem` (String: why the row cannot be used, or null),
    then the carried columns under their own names with the prefix `own:`.
    """
    kept = {name: frame[name] for name in layout.needed(frame.columns)}
    place, frame = _one_response_a_row(layout, pl.DataFrame(kept))
    parts = _texts(layout, frame).select(
        "question",
        "head",
        "trace",
        "tail",
        gold=pl.lit(column_text(frame, layout.gold)),
        category=pl.lit(column_text(frame, layout.category)),
        correct=_correct(layout, frame),
        cut_off=pl.col("opened") & ~pl.col("closed") | _said_cut_off(layout, frame),
        problem=_problem(),
    )
    own = [frame[name].alias(OWN + name) for name in layout.carried(frame.columns)]
    return place.hstack([*parts.iter_columns(), *own])


# --- several responses in a row -------------------------------------------------------------------------------------


def _one_response_a_row(layout: Layout, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Explode a list of generations; lists that run beside it (flags, finish reasons) give each its own element.

    The first frame holds each example's `position` and `generation`.
    """
    several = _several(layout, frame)
    positions = pl.Series("position", np.arange(frame.height, dtype=np.uint32))
    if several is None:
        return pl.DataFrame([positions, repeated("generation", None, pl.UInt32, frame.height)]), frame
    numbers = pl.int_ranges(pl.col("response").list.len(), dtype=pl.UInt32)
    place = (
        pl.LazyFrame({"position": positions, "response": several})
        .with_columns(generation=numbers)
        .explode("generation", "response", empty_as_null=True, keep_nulls=True)
        .collect()
    )
    beside = pl.DataFrame({name: frame[name] for name in frame.columns if name != layout.response})
    columns = {column.name: column for column in beside[place["position"]].iter_columns()}
    columns |= _own_elements(
        {name: column for name, column in columns.items() if _runs_beside(layout, name)}, place["generation"]
    )
    return place[["position", "generation"]], pl.DataFrame({**columns, str(layout.response): place["response"]})


def _several(layout: Layout, frame: pl.DataFrame) -> pl.Series | None:
    """The lists of responses; null where a row holds one response by design."""
    column = _raw(frame, layout.response)
    if column is None:
        return None
    if isinstance(column.dtype, pl.List):
        return column
    if not layout.many or column.dtype != pl.String:
        return None
    return pl.Series([None if text is None else _listed(text) for text in column], dtype=pl.List(pl.String))


def _listed(text: str) -> list[str | None]:
    """A list from its JSON text, which it is where a batch holds other types too; any other text is alone."""
    value = _parsed(text)
    return [as_text(item) for item in value] if isinstance(value, list) else [text]


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text) if text.startswith("[") else None
    except orjson.JSONDecodeError:
        return None


def _runs_beside(layout: Layout, name: str) -> bool:
    return name in (*layout.correct, layout.complete, layout.finish) or name.startswith("correctness_")


def _own_elements(columns: Mapping[str, pl.Series], generation: pl.Series) -> dict[str, pl.Series]:
    """Each generation's own element, where a flag is a list; one that is not is every generation's."""
    lists = {name: column for name, column in columns.items() if isinstance(column.dtype, pl.List)}
    numbered = {str(number): column for number, column in enumerate(lists.values())}  # a name may look like a pattern
    taken = pl.DataFrame({**numbered, "generation": generation}).select(
        pl.col(number).list.get(pl.col("generation"), null_on_oob=True) for number in numbered
    )
    words = {name: column for name, column in columns.items() if column.dtype == pl.String}
    return dict(zip(lists, taken.iter_columns(), strict=True)) | {
        name: pl.Series([_element(*pair) for pair in zip(column, generation, strict=True)], dtype=pl.String)
        for name, column in words.items()
    }


def _element(text: str | None, number: int | None) -> str | None:
    value = _parsed(text or "")
    if not isinstance(value, list):
        return text
    return as_text(value[number]) if number is not None and number < len(value) else None


# --- the texts ------------------------------------------------------------------------------------------------------


def _texts(layout: Layout, frame: pl.DataFrame) -> pl.DataFrame:
    """question, head, trace, tail, opened, closed."""
    question = question_text(frame, layout.question)
    if layout.turns or layout.chat:
        turns = _from_turns(layout, frame) if layout.turns else tags.split_chats(column_text(frame, layout.chat))
        question = question if layout.question else turns["question"]
        return _response_of(turns, apart=layout.apart).with_columns(question=question)
    if layout.trace:
        parts = tags.wrap(column_text(frame, layout.trace), column_text(frame, layout.answer))
    else:
        parts = tags.split_response(column_text(frame, layout.response))
    return parts.hstack([question.alias("question")])


def column_text(frame: pl.DataFrame, name: str | None) -> pl.Series:
    """A column as text; a list of one text is that text."""
    column = _raw(frame, name)
    if column is None:
        return repeated("", None, pl.String, frame.height)
    if column.dtype == pl.List(pl.String):
        values = [v[0] if v is not None and len(v) == 1 else v for v in column.to_list()]
        return pl.Series([as_text(value) for value in values], dtype=pl.String)
    return texts(column)


def _raw(frame: pl.DataFrame, name: str | None) -> pl.Series | None:
    """A column without its name, which Polars would take for a pattern where it is one, like ^a$."""
    return frame[name].alias("") if name is not None and name in frame.columns else None


def question_text(frame: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    """The question of each row, of one column or of several; null where the first is."""
    first, *more = names or (None,)
    question = column_text(frame, first)
    for name in more:  # Alpaca's second part follows on a line of its own, where there is one
        parts = pl.DataFrame({"a": question, "b": column_text(frame, name)})
        has_more = pl.col("b").fill_null("").str.strip_chars() != ""
        question = parts.select(pl.when(has_more).then(pl.col("a") + "\n" + pl.col("b")).otherwise("a")).to_series()
    return question


def _response_of(turns: pl.DataFrame, *, apart: bool) -> pl.DataFrame:
    """The parts of responses, some of which bring their reasoning in a field of its own; where a pool has that field
    (`apart`), a reply without either has no trace. A reply that holds its reasoning between tags keeps it."""
    whole = tags.split_response(turns["response"])
    if "reasoning" not in turns.columns or not (apart or turns["reasoning"].is_not_null().any()):
        return whole
    beside = tags.wrap(turns["reasoning"], turns["response"])
    opened, closed = pl.col("opened"), pl.col("closed")
    tagged = (opened & closed & tags.is_opening(pl.col("head"))).fill_null(False)
    bare = pl.lit(apart) & pl.col("response").is_not_null() & ~opened & ~closed
    own = whole.hstack(turns[["reasoning", "response"]]).select((pl.col("reasoning").is_not_null() & ~tagged) | bare)
    return whole.select(
        pl.when(own.to_series()).then(beside[name]).otherwise(whole[name]).alias(name) for name in whole.columns
    )


def _from_turns(layout: Layout, frame: pl.DataFrame) -> pl.DataFrame:
    lists = [frame[name].to_list() if name in frame.columns else [None] * frame.height for name in layout.turns]
    rows = [_single_turn([turn for cell in row for turn in _turns(cell)]) for row in zip(*lists, strict=True)]
    schema = {"question": pl.String, "reasoning": pl.String, "response": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _turns(cell: object) -> list[Mapping[str, object]]:
    """The turns of one chat, which may also come as JSON text."""
    value = _parsed(cell) if isinstance(cell, str) else cell
    return [turn for turn in value if isinstance(turn, dict)] if isinstance(value, list) else []


def _single_turn(turns: Sequence[Mapping[str, object]]) -> tuple[str | None, str | None, str | None]:
    """Question, reasoning of its own field, and response of a chat with one user turn; nulls for any other chat, such
    as one that calls tools."""
    said: dict[str, list[Mapping[str, object]]] = {"user": [], "assistant": []}
    for turn in turns:
        spoken = str(turn.get("role") or turn.get("from")).lower()
        role = _ROLE_NAMES.get(spoken)
        if any(map(turn.get, _CALLS)) or (role is None and spoken not in _PASSED_OVER):
            return None, None, None
        if role:
            said[role].append(turn)
    if len(said["user"]) != 1 or len(said["assistant"]) != 1:
        return None, None, None
    question, reply = said["user"][0], said["assistant"][0]
    reasoning = next((text for name in REASONING if isinstance(text := reply.get(name), str) and text), None)
    return _said(question), reasoning, _said(reply)


def _said(turn: Mapping[str, object]) -> str | None:
    """A turn's text, which may come in parts; None where one of them is no text, but a picture, say."""
    spoken = turn.get("content") if "content" in turn else turn.get("value")
    if not isinstance(spoken, list):
        return spoken if isinstance(spoken, str) else None
    parts = [part.get("text") if isinstance(part, dict) else None for part in spoken]
    said = [part for part in parts if isinstance(part, str)]
    return "".join(said) if said and len(said) == len(parts) else None


def _problem() -> pl.Expr:
    """Why a row cannot be used at all; null where it can."""
    no_question = pl.col("question").is_null() | blank(pl.col("question"))
    return (
        pl.when(no_question)
        .then(pl.lit("no question (null, empty, or a chat that is not one question and one reply)"))
        .when(pl.col("trace").is_null())
        .then(pl.lit("no response (null)"))
        .otherwise(pl.lit(None, pl.String))
    )


# --- the pool's own flags -------------------------------------------------------------------------------------------


def _correct(layout: Layout, frame: pl.DataFrame) -> pl.Expr:
    """The pool's own verdict: the first of its flags that says anything (METHOD 9.6)."""
    return pl.coalesce([*(pl.lit(_flag(frame, name)) for name in layout.correct), pl.lit(None, pl.Boolean)])


def _said_cut_off(layout: Layout, frame: pl.DataFrame) -> pl.Expr:
    """Whether the pool itself says that the generation ended early; what it does not say counts as no."""
    unfinished = ~pl.lit(_flag(frame, layout.complete))
    too_long = pl.lit(column_text(frame, layout.finish)) == "length"
    return unfinished.fill_null(False) | too_long.fill_null(False)


def _flag(frame: pl.DataFrame, name: str | None) -> pl.Series:
    """True, false or null from Booleans, 0 and 1, and the words true and false (also alone in a list)."""
    column = _raw(frame, name)
    if column is None:
        return repeated("", None, pl.Boolean, frame.height)
    if isinstance(column.dtype, pl.List):
        column = column.list.first()
    if column.dtype == pl.Boolean:
        return column
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    return texts(column).str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
