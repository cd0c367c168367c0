"""What a pool's columns mean: found by itself, said aloud, overridden by --layout and --columns.

The words instruction, prompt, problem, output, completion and solution occur in this file alone; from here on there is
a question, a trace and what stands around it (canonical columns, see `canonical`). A layout is data: the column that
plays each role. Where two columns could play the response, nothing is guessed: AmbiguousLayoutError holds the line that
settles it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from select2reason import tags
from select2reason.errors import AmbiguousLayoutError, PoolError, UsageError

ROLES = ("question", "response", "trace", "answer", "gold", "category", "correct", "complete", "finish")
LAYOUTS = (
    "openr1",
    "messages",
    "sharegpt",
    "prompt-completion",
    "trace-answer",
    "alpaca",
    "question-solution",
    "chat",
    "columns",
)

_QUESTION = (
    *("formatted_question", "formated_question", "question", "problem", "instruction", "prompt", "query"),
    *("question_extracted", "input", "user"),
)
_GENERATIONS = ("generations", "responses", "completions", "samples")
_TURNS = ("messages", "conversations", "conversation", "dialog", "chat")
_RESPONSE = (
    *("response", "output", "completion", "generation", "generated_solution", "generated_text", "solution"),
    "answer",
)
_CHAT = ("text", "chat", "conversation")
_TRACE = (
    *("trace", "reasoning", "reasoning_content", "reason", "thinking", "thoughts", "thought", "think", "cot"),
    *(
        "chain_of_thought",
        "rationale",
        "deepseek_reasoning",
        "thinking_trajectory",
        "deepseek_thinking_trajectory",
    ),
    "gemini_thinking_trajectory",
)
_ANSWER = (
    *("gen_ans", "final_answer", "final", "response", "output", "completion", "deepseek_solution"),
    *("deepseek_attempt", "gemini_attempt", "attempt", "solution", "answer"),
)
_GOLD = (
    "gold_answer",
    "gold",
    "ground_truth",
    "gt",
    "expected_answer",
    "reference_answer",
    "answer",
    "target",
)
_CATEGORY = ("category", "problem_type", "subject", "domain", "topic", "type")
_CORRECT = (
    "correctness_math_verify",
    "correctness_llama",
    "correct",
    "is_correct",
    "verified",
    "is_verified",
)
_COMPLETE = ("is_reasoning_complete", "is_complete")
_FINISH = ("finish_reasons", "finish_reason")
_WIDE = {
    "solution",
    "messages",
    "conversations",
    "text",
    "prompt",
}  # text that is not carried though no role took it
_WIDE_CHARS = 1_000  # a column whose texts are longer than this on average is text, not a property of the example
_TURN_NAMES = (("role", "content"), ("from", "value"))
_ROLE_NAMES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column plays which role; `turns` holds columns of chat turns, `question` and `correct` may name several."""

    name: str
    question: tuple[str, ...] = ()
    response: str | None = None
    trace: str | None = None
    answer: str | None = None
    turns: tuple[str, ...] = ()
    chat: str | None = None
    gold: str | None = None
    category: str | None = None
    correct: tuple[str, ...] = ()
    complete: str | None = None
    finish: str | None = None
    wide: frozenset[str] = field(default=frozenset())
    """Text columns that play no role and are not carried."""

    def __str__(self) -> str:
        roles = {name: getattr(self, name) for name in (*ROLES, "turns", "chat")}
        parts = [f"{role}={_listed(column)}" for role, column in roles.items() if column]
        return f"{self.name} ({', '.join(parts)})"

    @property
    def used(self) -> frozenset[str]:
        """The columns that play the part of text, gold or category (flags are carried as well as used)."""
        single = (self.response, self.trace, self.answer, self.chat, self.gold, self.category)
        return frozenset([*self.question, *self.turns, *(name for name in single if name)])

    def needed(self, names: Sequence[str]) -> list[str]:
        """Of a file's columns those worth decoding: the ones with a role and the ones that are carried."""
        return [name for name in names if name in self.used or name not in self.wide]


def _listed(column: str | tuple[str, ...]) -> str:
    return column if isinstance(column, str) else "|".join(column)


def detect(
    sample: pl.DataFrame,
    *,
    layout: str | None = None,
    columns: Mapping[str, str] | None = None,
    where: str = "the pool",
) -> Layout:
    """The layout of a file, from its first rows.

    `layout` forces one by name, `columns` maps roles to columns and wins over both. Raises PoolError where no reading
    fits, AmbiguousLayoutError where more than one does, UsageError for a role or column that does not exist.
    """
    columns = _checked(columns or {}, sample, where)
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(f"no layout is called {layout}; --layout can be {', '.join(LAYOUTS)}")
    names = [layout] if layout and layout != "columns" else [name for name in LAYOUTS if name != "columns"]
    found = _from_columns(columns, sample) if "question" in columns and _texts_named(columns) else None
    for name in names:
        found = found or _FINDERS[name](sample)
    if found is None:
        raise PoolError(_no_layout(sample, where, layout))
    if not columns:
        _refuse_if_ambiguous(found, sample, where)
    return _with_extras(_overridden(found, columns), sample)


def parse_columns(text: str) -> dict[str, str]:
    """`question=problem,response=output` as a mapping of role to column."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not pairs or any(not sep or not column.strip() for _, sep, column in pairs):
        raise UsageError(f"--columns {text} is not of the form question=COLUMN,response=COLUMN,...")
    return {role.strip(): column.strip() for role, _, column in pairs}


def _checked(columns: Mapping[str, str], sample: pl.DataFrame, where: str) -> Mapping[str, str]:
    for role, column in columns.items():
        if role not in ROLES:
            raise UsageError(f"--columns knows no role {role}; roles are {', '.join(ROLES)}")
        if column not in sample.columns:
            raise UsageError(f"{where} has no column {column} for {role}; it has {', '.join(sample.columns)}")
    return columns


def _texts_named(columns: Mapping[str, str]) -> bool:
    return "response" in columns or "trace" in columns


def _from_columns(columns: Mapping[str, str], sample: pl.DataFrame) -> Layout:
    return Layout("columns", question=(columns["question"],))


def _overridden(found: Layout, columns: Mapping[str, str]) -> Layout:
    several = {"question", "correct"}
    changes: dict[str, object] = {r: (c,) if r in several else c for r, c in columns.items()}
    if "response" in columns and "trace" not in columns:
        changes |= {"trace": None, "answer": None}
    if "trace" in columns and "response" not in columns:
        changes |= {"response": None}
    if _texts_named(columns):
        changes |= {"turns": (), "chat": None}
    return replace(found, **changes)  # type: ignore[arg-type]


# --- finding the roles ----------------------------------------------------------------------------------------------


def _first(sample: pl.DataFrame, names: Sequence[str], *dtypes: type[pl.DataType]) -> str | None:
    wanted = dtypes or (pl.String,)
    return next((n for n in names if n in sample.columns and isinstance(sample.schema[n], wanted)), None)


def _question(sample: pl.DataFrame, *, taken: Sequence[str | None] = ()) -> str | None:
    return _first(sample, [name for name in _QUESTION if name not in taken])


def _openr1(sample: pl.DataFrame) -> Layout | None:
    generations, question = _first(sample, _GENERATIONS, pl.List), _question(sample)
    if not generations or not question or sample.schema[generations] != pl.List(pl.String):
        return None
    return Layout("openr1", question=(question,), response=generations)


def _turn_columns(sample: pl.DataFrame, *, pair: int) -> list[str]:
    """Columns of chat turns in one of the two customs (role/content or from/value)."""
    keys = set(_TURN_NAMES[pair])
    return [
        name
        for name, dtype in sample.schema.items()
        if isinstance(dtype, pl.List)
        and isinstance(dtype.inner, pl.Struct)
        and keys <= {f.name for f in dtype.inner.fields}
    ]


def _messages(sample: pl.DataFrame) -> Layout | None:
    found = [name for name in _TURNS if name in _turn_columns(sample, pair=0)]
    return Layout("messages", turns=(found[0],)) if found else None


def _sharegpt(sample: pl.DataFrame) -> Layout | None:
    found = [name for name in _TURNS if name in _turn_columns(sample, pair=1)]
    return Layout("sharegpt", turns=(found[0],)) if found else None


def _prompt_completion(sample: pl.DataFrame) -> Layout | None:
    if {"prompt", "completion"} <= set(_turn_columns(sample, pair=0)):
        return Layout("prompt-completion", turns=("prompt", "completion"))
    if _first(sample, ["prompt"]) and _first(sample, ["completion"], pl.String, pl.List):
        return Layout("prompt-completion", question=("prompt",), response="completion")
    return None


def _trace_answer(sample: pl.DataFrame) -> Layout | None:
    trace = _first(sample, _TRACE)
    answer = _first(sample, [name for name in _ANSWER if name != trace])
    question = _question(sample, taken=(trace, answer))
    if not (trace and answer and question):
        return None
    return Layout("trace-answer", question=(question,), trace=trace, answer=answer)


def _alpaca(sample: pl.DataFrame) -> Layout | None:
    response = _first(sample, ["output", "response", "completion"], pl.String, pl.List)
    if not response or not _first(sample, ["instruction"]):
        return None
    extra = ("input",) if _first(sample, ["input"]) else ()
    return Layout("alpaca", question=("instruction", *extra), response=response)


def _question_solution(sample: pl.DataFrame) -> Layout | None:
    question = _question(sample)
    names = [name for name in _RESPONSE if name != question]
    response = _first(sample, names, pl.String, pl.List)
    if not (question and response) or sample.schema[response] not in (pl.String, pl.List(pl.String)):
        return None
    return Layout("question-solution", question=(question,), response=response)


def _chat(sample: pl.DataFrame) -> Layout | None:
    found = next((n for n in _CHAT if _first(sample, [n]) and tags.is_chat(sample[n])), None)
    if not found:
        return None
    question = _question(sample, taken=(found,))
    return Layout("chat", question=(question,) if question else (), chat=found)


_FINDERS = {
    "openr1": _openr1,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "prompt-completion": _prompt_completion,
    "trace-answer": _trace_answer,
    "alpaca": _alpaca,
    "question-solution": _question_solution,
    "chat": _chat,
}


def _with_extras(found: Layout, sample: pl.DataFrame) -> Layout:
    """Fill in gold answer, category and flags, which any layout may have beside its text."""
    free = [name for name in sample.columns if name not in found.used]
    scalar = (pl.String, pl.Int64, pl.Int32, pl.Float64, pl.List)
    full = replace(
        found,
        gold=found.gold or _first(sample, [name for name in _GOLD if name in free], *scalar),
        category=found.category or _first(sample, [name for name in _CATEGORY if name in free]),
        correct=found.correct or tuple(name for name in _CORRECT if name in free),
        complete=found.complete or next((name for name in _COMPLETE if name in free), None),
        finish=found.finish or next((name for name in _FINISH if name in free), None),
    )
    return replace(full, wide=frozenset(name for name in free if name not in full.used and _is_wide(sample[name])))


def _is_wide(column: pl.Series) -> bool:
    if column.name in _WIDE:
        return True
    if isinstance(column.dtype, pl.List) and isinstance(column.dtype.inner, pl.Struct):
        return True
    return _mean_chars(column) > _WIDE_CHARS


def _mean_chars(column: pl.Series) -> float:
    if column.dtype == pl.List(pl.String):
        column = column.explode()
    if column.dtype != pl.String:
        return 0.0
    mean = column.str.len_chars().mean()
    return float(mean) if isinstance(mean, int | float) else 0.0


def _tagged_share(column: pl.Series) -> float:
    if column.dtype == pl.List(pl.String):
        column = column.explode()
    if column.dtype != pl.String:
        return 0.0
    share = tags.has_tags(column.drop_nulls()).mean()
    return float(share) if isinstance(share, int | float) else 0.0


def _refuse_if_ambiguous(found: Layout, sample: pl.DataFrame, where: str) -> None:
    """A column picked by its name alone gives way where another one looks more like the response."""
    if found.name not in {"alpaca", "question-solution"} or found.response is None:
        return
    chosen = sample[found.response]
    rivals = [
        name
        for name in sample.columns
        if name not in (*found.question, found.response)
        and _tagged_share(sample[name]) > 0.5
        and _tagged_share(chosen) < 0.5
    ] or [
        name
        for name in sample.columns
        if name not in (*found.question, found.response)
        and _mean_chars(sample[name]) > max(2 * _mean_chars(chosen), _WIDE_CHARS)
    ]
    if not rivals:
        return
    best = max(rivals, key=lambda name: _mean_chars(sample[name]))
    gold = _first(sample, [name for name in _GOLD if name in sample.columns])
    line = f"--columns question={found.question[0]},response={best}" + (f",gold={gold}" if gold else "")
    candidates = " and ".join([found.response, *rivals])
    raise AmbiguousLayoutError(f"{where}: the response could be {candidates}; say which, for example: {line}")


def _no_layout(sample: pl.DataFrame, where: str, layout: str | None) -> str:
    shown = ", ".join(sample.columns[:20]) or "no columns"
    wanted = f"does not fit the layout {layout}" if layout else "has no layout known here"
    return f"{where} {wanted}; it has {shown}: name them with --columns question=COLUMN,response=COLUMN"


# --- applying a layout ----------------------------------------------------------------------------------------------


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
    import orjson

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
