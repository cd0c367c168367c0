"""What a pool's columns mean: found by itself, said aloud, overridden by --layout and --columns.

A layout is data: the column that plays each role. Where two columns could play the response, nothing is guessed:
AmbiguousLayoutError holds the line that settles it. The words instruction, prompt, problem, output, completion and
solution occur here and in roles.py alone; from here on there is a question, a trace and what stands around it
(canonical.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from select2reason import roles, tags
from select2reason.errors import AmbiguousLayoutError, PoolError, UsageError
from select2reason.frames import without

_TEXTS = ("question", "response", "trace", "answer")
ROLES = ("question", "response", "trace", "answer", "gold", "category", "correct", "complete", "finish")


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
    apart: bool = False
    """Turns have a field of their own for the reasoning."""
    many: bool = False
    """The response is a list: one example for each of its elements."""
    wide: frozenset[str] = field(default=frozenset())
    """Text columns that play no role and are not carried."""

    def __str__(self) -> str:
        played = {name: getattr(self, name) for name in (*ROLES, "turns", "chat")}
        parts = [f"{role}={_listed(column)}" for role, column in played.items() if column]
        return f"{self.name} ({', '.join(parts)})"

    @property
    def used(self) -> frozenset[str]:
        """The columns that play the part of text, gold or category (flags are carried as well as used)."""
        single = (self.response, self.trace, self.answer, self.chat, self.gold, self.category)
        return frozenset([*self.question, *self.turns, *(name for name in single if name)])

    def needed(self, names: Sequence[str]) -> list[str]:
        """Of a file's columns those worth decoding: the ones with a role and the ones that are carried."""
        return [name for name in names if name in self.used or name not in self.wide]

    def carried(self, names: Sequence[str]) -> list[str]:
        """Of a file's columns those that a selection may carry."""
        return [name for name in names if name not in self.used and name not in self.wide]


def _listed(column: str | tuple[str, ...]) -> str:
    return column if isinstance(column, str) else "|".join(column)


def detect(
    sample: pl.DataFrame,
    *,
    layout: str | None = None,
    columns: Mapping[str, str] | None = None,
    rare: Collection[str] = (),
    where: str = "the pool",
) -> Layout:
    """The layout of a file, from its first rows.

    `rare` columns of it play the part of no text unless `columns` says so, and any other where no common one does.

    `layout` forces one by name, `columns` maps roles to columns and wins over both. Raises PoolError where no reading
    fits, AmbiguousLayoutError where more than one does, UsageError for a role or column that does not exist.
    """
    columns = _checked(columns or {}, sample, where)
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(f"no layout is called {layout}; --layout can be {', '.join(LAYOUTS)}")
    common = without(sample, *rare)
    if "response" in columns or "trace" in columns:
        found = _named(columns, common, where)
    else:
        found = _found(columns, common, layout, where)
        _refuse_if_ambiguous(found, common, where)
    return _with_extras(_with_extras(_overridden(found, columns), common), sample)


def parse_columns(text: str) -> dict[str, str]:
    """`question=problem,response=output` as a mapping of role to column."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not pairs or any(not sep or not column.strip() for _, sep, column in pairs):
        raise UsageError(f"--columns {text} is not of the form question=COLUMN,response=COLUMN,...")
    roles_named = [role.strip() for role, _, _ in pairs]
    if twice := [role for role in roles_named if roles_named.count(role) > 1]:
        raise UsageError(f"--columns {text} names {twice[0]} twice; give each role one column")
    return {role.strip(): column.strip() for role, _, column in pairs}


# --- columns named by the user --------------------------------------------------------------------------------------


def _checked(columns: Mapping[str, str], sample: pl.DataFrame, where: str) -> Mapping[str, str]:
    for role, column in columns.items():
        if role not in ROLES:
            raise UsageError(f"--columns knows no role {role}; roles are {', '.join(ROLES)}")
        if column not in sample.columns:
            raise UsageError(f"{where} has no column {column} for {role}; it has {_told(sample.columns)}")
        kind = sample.schema[column]
        inner = kind.inner if isinstance(kind, pl.List) else kind
        if role in _TEXTS and (inner.is_numeric() or inner == pl.Boolean):
            raise UsageError(f"--columns {role}={column}: it holds {kind}, no text; name another column")
        if role in _TEXTS and (inner.is_nested() or roles.holds_turns(sample[column])):
            told = "it holds turns of a chat, or objects, and no text"
            raise UsageError(f"--columns {role}={column}: {told}; a column of whole chats is read if called messages")
    return columns


def _named(columns: Mapping[str, str], sample: pl.DataFrame, where: str) -> Layout:
    """The response is one column, or a trace and what follows it (called answer, or here response too)."""
    question = (columns["question"],) if "question" in columns else roles.question_columns(sample)
    if not question:
        raise PoolError(_no_layout(sample, where, None))
    trace, response, answer = (columns.get(role) for role in ("trace", "response", "answer"))
    if answer and response:
        raise UsageError("--columns: give response alone, or trace with answer")
    if trace:
        return Layout("columns", question=question, trace=trace, answer=answer or response)
    return Layout("columns", question=question, response=response)


def _overridden(found: Layout, columns: Mapping[str, str]) -> Layout:
    several = {"question", "correct"}
    beside = {role: name for role, name in columns.items() if role not in {"response", "trace", "answer"}}
    changes: dict[str, object] = {role: (name,) if role in several else name for role, name in beside.items()}
    if "answer" in columns:
        if not found.trace:
            raise UsageError("--columns: an answer stands beside a trace; name it too, trace=COLUMN")
        changes["answer"] = columns["answer"]
    return replace(found, **changes)  # type: ignore[arg-type]


# --- layouts found by themselves ------------------------------------------------------------------------------------


def _found(columns: Mapping[str, str], sample: pl.DataFrame, layout: str | None, where: str) -> Layout:
    question = (columns["question"],) if "question" in columns else roles.question_columns(sample)
    names = [layout] if layout and layout != "columns" else list(_FINDERS)
    found = next((fit for name in names if (fit := _FINDERS[name](sample, question))), None)
    if found is None:
        raise PoolError(_no_layout(sample, where, layout))
    if turns := next((name for name in found.question if roles.holds_turns(sample[name])), None):
        fix = "write its question as text, or whole chats in a column messages"
        raise PoolError(f"{where}: the column {turns} holds turns of a chat as JSON text; {fix}")
    return found


def _openr1(sample: pl.DataFrame, question: tuple[str, ...]) -> Layout | None:
    generations = roles.named(sample, roles.GENERATIONS, [pl.List(pl.String)])
    return Layout("openr1", question=question, response=generations) if generations and question else None


def _messages(sample: pl.DataFrame, _: tuple[str, ...]) -> Layout | None:
    return _one_chat("messages", sample, roles.turn_columns(sample, "role", "content"))


def _sharegpt(sample: pl.DataFrame, _: tuple[str, ...]) -> Layout | None:
    return _one_chat("sharegpt", sample, roles.turn_columns(sample, "from", "value"))


def _one_chat(layout: str, sample: pl.DataFrame, columns: list[str]) -> Layout | None:
    found = [name for name in roles.TURNS.split() if name in columns]
    return Layout(layout, turns=(found[0],), apart=roles.tells_reasoning_apart(sample[found[0]])) if found else None


def _prompt_completion(sample: pl.DataFrame, _: tuple[str, ...]) -> Layout | None:
    if {"prompt", "completion"} <= set(roles.turn_columns(sample, "role", "content")):
        apart = roles.tells_reasoning_apart(sample["completion"])
        return Layout("prompt-completion", turns=("prompt", "completion"), apart=apart)
    if roles.named(sample, "prompt") and roles.named(sample, "completion", roles.TEXTS):
        return Layout("prompt-completion", question=("prompt",), response="completion")
    return None


def _trace_answer(sample: pl.DataFrame, question: tuple[str, ...]) -> Layout | None:
    trace = roles.named(sample, roles.TRACE) or roles.single(sample, roles.TRACES)
    answer = roles.named(sample, roles.ANSWER)
    if not (trace and answer and question) or roles.only_remarks(sample[trace], sample[answer]):
        return None
    return Layout("trace-answer", question=question, trace=trace, answer=answer)


def _alpaca(sample: pl.DataFrame, question: tuple[str, ...]) -> Layout | None:
    response = roles.named(sample, "output response completion", roles.TEXTS)
    if not response or not roles.named(sample, "instruction"):
        return None
    return Layout("alpaca", question=question, response=response)


def _question_solution(sample: pl.DataFrame, question: tuple[str, ...]) -> Layout | None:
    response = roles.named(sample, roles.RESPONSE, roles.TEXTS)
    return Layout("question-solution", question=question, response=response) if question and response else None


def _chat(sample: pl.DataFrame, question: tuple[str, ...]) -> Layout | None:
    texts = [name for name in roles.CHAT.split() if roles.named(sample, name) and tags.is_chat(sample[name])]
    return Layout("chat", question=question, chat=texts[0]) if texts else None


_FINDERS: dict[str, Callable[[pl.DataFrame, tuple[str, ...]], Layout | None]] = {
    "openr1": _openr1,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "prompt-completion": _prompt_completion,
    "trace-answer": _trace_answer,
    "alpaca": _alpaca,
    "question-solution": _question_solution,
    "chat": _chat,
}
LAYOUTS = (*_FINDERS, "columns")


def _with_extras(found: Layout, sample: pl.DataFrame) -> Layout:
    """Fill in gold answer, category and flags, which any layout may have beside its text."""
    free = pl.DataFrame({name: sample[name] for name in sample.columns if name not in found.used})
    values = [kind for kind in free.dtypes if kind.is_numeric() or kind in (pl.String, pl.List)]
    full = replace(
        found,
        gold=found.gold or roles.named(free, roles.GOLD, values) or roles.named(free, roles.GOLD, [pl.Null]),
        category=found.category or roles.named(free, roles.CATEGORY),
        correct=found.correct or roles.verdicts(free),
        complete=found.complete or roles.named(free, roles.COMPLETE, free.dtypes),
        finish=found.finish or roles.named(free, roles.FINISH, free.dtypes),
        many=found.many or isinstance(sample.schema.get(found.response or ""), pl.List),
    )
    wide = {column.name for column in free.iter_columns() if roles.is_wide(column)}
    return replace(full, wide=frozenset(wide - full.used))


# --- where nothing can be found, or too much ------------------------------------------------------------------------


def _refuse_if_ambiguous(found: Layout, sample: pl.DataFrame, where: str) -> None:
    """A column picked by its name alone gives way where another one looks more like the response."""
    if found.name not in {"alpaca", "question-solution"} or found.response is None:
        return
    rivals = _rivals(found, sample)
    if not rivals:
        return
    best = max(rivals, key=lambda name: roles.mean_chars(sample[name]))
    gold = roles.named(sample, roles.GOLD, [pl.String, pl.List])
    line = f"--columns question={found.question[0]},response={best}" + (f",gold={gold}" if gold else "")
    raise AmbiguousLayoutError(
        f"{where}: the response could be {' and '.join([found.response, *rivals])}; say which, for example: {line}"
    )


def _rivals(found: Layout, sample: pl.DataFrame) -> list[str]:
    """Columns with think tags where the chosen one has none, else those that are much longer."""
    chosen = sample[found.response or ""]
    others = [name for name in sample.columns if name not in (*found.question, found.response)]
    tagged = [name for name in others if roles.tagged_share(sample[name]) > 0.5 > roles.tagged_share(chosen)]
    bound = max(2 * roles.mean_chars(chosen), roles.WIDE_CHARS)
    return tagged or [name for name in others if roles.mean_chars(sample[name]) > bound]


def _no_layout(sample: pl.DataFrame, where: str, layout: str | None) -> str:
    if sample.height == 1 and all(isinstance(dtype, pl.List | pl.Struct) for dtype in sample.dtypes):
        return f"{where} is one JSON object of lists; write it as JSON Lines, one object for each example"
    wanted = f"does not fit the layout {layout}" if layout else "has no layout known here"
    return f"{where} {wanted}; it has {_told(sample.columns)}: name them with --columns question=COLUMN,response=COLUMN"


def _told(names: Sequence[str]) -> str:
    """Column names for a message of one line."""
    shown = [name if name.isprintable() and 0 < len(name) <= 60 else repr(name[:60]) for name in names[:20]]
    return ", ".join(shown) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
