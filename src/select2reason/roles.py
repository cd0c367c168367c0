"""The names that a pool's columns customarily have, and what a column's texts look like: the evidence for a layout.

Data and plain questions about a sample; what follows from the answers is for layouts.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson
import polars as pl

from select2reason import tags

_QUESTION = (
    "formatted_question formated_question question problem instruction prompt query question_extracted input user"
)
GENERATIONS = "generations responses completions samples"
TURNS = "messages conversations conversation dialog chat"
CHAT = "text chat conversation"
RESPONSE = "response output completion generation generated_solution generated_text solution answer"
TRACE = (
    "trace reasoning reasoning_content reason thinking thoughts thought think cot chain_of_thought rationale "
    "deepseek_reasoning thinking_trajectory deepseek_thinking_trajectory gemini_thinking_trajectory"
)
TRACES = "thinking_trajectories"  # of a list that holds one
ANSWER = (
    "gen_ans final_answer final response output completion deepseek_solution deepseek_attempt gemini_attempt attempt "
    "solution answer"
)
GOLD = "gold_answer gold ground_truth gt expected_answer reference_answer answer target"
CATEGORY = "category problem_type subject domain topic type"
CORRECT = "correctness_math_verify correctness_llama correct is_correct verified is_verified"
COMPLETE = "is_reasoning_complete is_complete"
FINISH = "finish_reasons finish_reason"
REASONING = ("reasoning_content", "reasoning", "thinking")  # where servers put it, beside a turn's content
BESIDE = {"gold": GOLD, "category": CATEGORY, "correct": CORRECT, "complete": COMPLETE, "finish": FINISH}
_WIDE = "solution messages conversations text prompt"  # text that is not carried though no role took it
WIDE_CHARS = 1_000  # a column whose texts are longer than this on average is text, not a property of the example
_TURN_KEYS = ({"role", "content"}, {"from", "value"})  # of what is a chat
_ENOUGH, _ALIKE = 8, 4  # texts that are looked at for repeats; each four times on average makes labels of them
_SHORTER = 8  # times shorter than its answer, and a text is no trace that leads to it
_TEXT = (pl.String,)
TEXTS = (pl.String, pl.List(pl.String))  # one response, or several


def named(sample: pl.DataFrame, names: str, dtypes: Sequence[pl.DataType | type[pl.DataType]] = _TEXT) -> str | None:
    """The first of these names that is a column of one of these types."""
    return next((name for name in names.split() if sample.schema.get(name) in dtypes), None)


def question_columns(sample: pl.DataFrame) -> tuple[str, ...]:
    """The column that holds the question; Alpaca's has a second part, `input`."""
    first = named(sample, _QUESTION)
    if first == "instruction" and named(sample, "input"):
        return ("instruction", "input")
    return (first,) if first else ()


def verdicts(sample: pl.DataFrame) -> tuple[str, ...]:
    """The pool's flags of right answers, the most trusted first; a score counts where it is a Boolean."""
    names = [name for name in CORRECT.split() if name in sample.columns]
    score = named(sample, "score", [pl.Boolean, pl.List(pl.Boolean)])
    return (*names, score) if score else tuple(names)


def only_remarks(traces: pl.Series, answers: pl.Series) -> bool:
    """Whether texts called traces are remarks on the examples: the same again and again, far shorter than what they are
    said to lead to, or beside responses that hold their reasoning between tags."""
    texts, answers = _flat(traces).drop_nulls(), _flat(answers)
    if not len(texts):
        return False
    again = len(texts) >= _ENOUGH and _ALIKE * texts.n_unique() <= len(texts)
    lengths = [float(column.str.len_chars().mean() or 0) for column in (texts, answers)]  # type: ignore[arg-type]
    return again or _SHORTER * lengths[0] < lengths[1] or 2 * tags.has_tags(answers).sum() > len(answers)


def single(sample: pl.DataFrame, names: str) -> str | None:
    """The first of these names that is a column of lists with one text each."""
    found = named(sample, names, [pl.List(pl.String)])
    return found if found and (sample[found].list.len() == 1).all() else None


def turn_columns(sample: pl.DataFrame, role: str, text: str) -> list[str]:
    """Columns of chat turns, in the custom that has these two keys; JSON text of them is read under a chat's name."""
    known = [name for name in TURNS.split() if name in sample.columns]
    return [
        name
        for name, dtype in sample.schema.items()
        if {role, text} <= _keys(dtype) or (name in known and {role, text} <= _keys_of_json(sample[name]))
    ]


def holds_turns(column: pl.Series) -> bool:
    """Whether the texts of a column are JSON of chat turns."""
    keys = _keys_of_json(column)
    return any(one <= keys for one in _TURN_KEYS)


def tells_reasoning_apart(turns: pl.Series) -> bool:
    """Whether some of these turns have a field of their own for the reasoning, and something in it."""
    chats = _json_chats(turns) if turns.dtype == pl.String else turns.drop_nulls().to_list()
    return any(turn and any(map(turn.get, REASONING)) for chat in chats for turn in chat)


def _keys_of_json(column: pl.Series) -> set[str]:
    """The keys of the first turns, where most of a column's texts are JSON of turns."""
    chats = _json_chats(column) if column.dtype == pl.String else []
    return set.intersection(*(set(chat[0]) for chat in chats)) if 2 * len(chats) > column.count() else set()


def _json_chats(column: pl.Series) -> list[list[dict[str, Any]]]:
    """Those of the texts that are JSON of turns, read."""
    read = []
    for text in column.drop_nulls():
        if text.lstrip().startswith("["):
            with suppress(orjson.JSONDecodeError):
                read.append(orjson.loads(text))
    return [chat for chat in read if chat and all(isinstance(turn, dict) for turn in chat)]


def _keys(dtype: pl.DataType) -> set[str]:
    inner = dtype.inner if isinstance(dtype, pl.List) else None
    return {field.name for field in inner.fields} if isinstance(inner, pl.Struct) else set()


def is_wide(column: pl.Series) -> bool:
    """Whether a column is text, which is not carried along where it plays no role."""
    if isinstance(column.dtype, pl.Struct | pl.List) and column.dtype != pl.List(pl.String):
        turns = any(one <= _keys(column.dtype) for one in _TURN_KEYS)
        return turns or 0 < WIDE_CHARS * column.count() < column.estimated_size()
    return column.name in _WIDE.split() or mean_chars(column) > WIDE_CHARS


def mean_chars(column: pl.Series) -> float:
    """Mean length of a column's texts; 0 where it holds none."""
    mean = _flat(column).str.len_chars().mean()
    return float(mean) if isinstance(mean, int | float) else 0.0


def tagged_share(column: pl.Series) -> float:
    """Share of a column's texts that hold think tags; 0 where it holds none."""
    share = tags.has_tags(_flat(column)).mean()
    return float(share) if isinstance(share, int | float) else 0.0


def _flat(column: pl.Series) -> pl.Series:
    column = column.alias("")  # a name like ^a$ would be taken for a pattern
    if column.dtype == pl.List(pl.String):
        column = column.explode(empty_as_null=True, keep_nulls=True)
    return column if column.dtype == pl.String else pl.Series([], dtype=pl.String)
