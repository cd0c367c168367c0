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
