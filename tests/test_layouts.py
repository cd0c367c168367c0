"""Which column is what: found by itself, refused where two could be meant, overridden by the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from select2reason.errors import AmbiguousLayoutError, PoolError, UsageError
from select2reason.layouts import LAYOUTS, Layout, detect, parse_columns
from tests.reading import content, pool_of

TURN = {"role": "user", "content": "q"}
TRACE = "So it goes. " * 200
JSON_TURNS = '[{"role": "user", "content": "q"}]'


def found(row: dict[str, Any], **how: Any) -> Layout:
    return detect(pl.DataFrame([row]), **how)


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ({"problem": "q", "generations": ["r"], "solution": "s"}, "openr1 (question=problem, response=generations)"),
        (
            {"prompt": "q", "responses": ["r"], "answer": "4"},
            "openr1 (question=prompt, response=responses, gold=answer)",
        ),
        ({"messages": [TURN], "prompt": "q", "answer": 4}, "messages (gold=answer, turns=messages)"),
        ({"conversations": [{"from": "human", "value": "q"}]}, "sharegpt (turns=conversations)"),
        ({"conversations": [TURN | {"weight": 1}]}, "messages (turns=conversations)"),
        ({"messages": JSON_TURNS, "id": "a"}, "messages (turns=messages)"),
        ({"chat": '[{"from": "human", "value": "q"}]', "id": "a"}, "sharegpt (turns=chat)"),
        (
            {"question": "q", "thinking_trajectories": [TRACE], "attempt": "4", "solution": "s"},
            "trace-answer (question=question, trace=thinking_trajectories, answer=attempt)",
        ),
        ({"prompt": [TURN], "completion": [TURN]}, "prompt-completion (turns=prompt|completion)"),
        ({"prompt": "q", "completion": "r"}, "prompt-completion (question=prompt, response=completion)"),
        ({"instruction": "q", "input": "", "output": "r"}, "alpaca (question=instruction|input, response=output)"),
        ({"instruction": "q", "response": "r"}, "alpaca (question=instruction, response=response)"),
        (
            {"instruction": "q", "input": "", "reasoning": "t", "output": "r"},
            "trace-answer (question=instruction|input, trace=reasoning, answer=output)",
        ),
        (
            {"question": "q", "reasoning_content": "t", "response": "r", "answer": "4", "subject": "algebra"},
            "trace-answer (question=question, trace=reasoning_content, answer=response, gold=answer, category=subject)",
        ),
        (
            {"question": "q", "solution": "r", "gold_answer": "4"},
            "question-solution (question=question, response=solution, gold=gold_answer)",
        ),
        (
            {"question": "q", "solution": "r", "answer": [4.5]},
            "question-solution (question=question, response=solution, gold=answer)",
        ),
        (
            {"question": "q", "response": ["r1", "r2"], "correct": [True, False]},
            "question-solution (question=question, response=response, correct=correct)",
        ),
        ({"text": "<｜User｜>q<｜Assistant｜>r", "id": 1}, "chat (chat=text)"),
        ({"text": "<｜User｜>q<｜Assistant｜>r", "problem": "q"}, "chat (question=problem, chat=text)"),
    ],
)
def test_layouts_are_found_by_names_and_types(row: dict[str, Any], layout: str) -> None:
    assert str(found(row)) == layout


LONG = "So it goes. " * 20
REMARKS = {
    "the same few": [("selected" if n % 2 else "ranked_below", "An answer.") for n in range(8)],
    "far shorter": [(f"easy {n}", LONG * (n + 1)) for n in range(3)],
    "beside tags": [(LONG, f"<think>{LONG}</think>{n}") for n in range(3)],
}


@pytest.mark.parametrize("kind", REMARKS)
def test_remarks_on_examples_are_no_traces(kind: str) -> None:
    rows = [
        {"question": f"q{n}", "reason": reason, "response": response}
        for n, (reason, response) in enumerate(REMARKS[kind])
    ]
    assert str(detect(pl.DataFrame(rows))) == "question-solution (question=question, response=response)"
    assert detect(pl.DataFrame(rows), columns={"trace": "reason", "answer": "response"}).trace == "reason"
    traces = [{"question": f"q{n}", "reason": f"{n}: {LONG}", "response": str(n)} for n in range(9)]
    assert detect(pl.DataFrame([*traces, {**traces[0], "reason": None}])).trace == "reason"


def test_flags_are_found_in_the_order_in_which_they_count() -> None:
    flags = {"correctness_llama": None, "correctness_math_verify": [True], "finish_reasons": None}
    layout = found({"problem": "q", "generations": ["r"], "is_reasoning_complete": [True], **flags})
    assert layout.correct == ("correctness_math_verify", "correctness_llama")
    assert (layout.complete, layout.finish) == ("is_reasoning_complete", "finish_reasons")
    assert layout.many and not found({"question": "q", "response": "r"}).many


def test_a_gold_column_that_begins_with_nulls_is_still_gold() -> None:
    assert found({"question": "q", "response": "r", "answer": None}).gold == "answer"
    assert found({"question": "q", "response": "r", "answer": None, "target": "4"}).gold == "target"


def test_text_without_a_role_is_not_carried() -> None:
    row = {"question": "q", "response": "r", "note": TRACE, "notes": [TRACE], "turns": [TURN], "prompt": "q", "id": "1"}
    layout = found(row, columns={"question": "question", "response": "response"})
    assert layout.wide == {"note", "notes", "turns", "prompt"}
    assert layout.needed(list(row)) == ["question", "response", "id"]


def test_an_object_counts_as_text_by_what_it_holds() -> None:
    kinds = pl.Struct({"text": pl.String, "n": pl.Int64})
    held: dict[str, list[Any]] = {
        "few": [{"text": "a", "n": 1}] * 3,
        "long": [{"text": TRACE, "n": 1}] * 3,
        "none": [None] * 3,
    }
    columns = [pl.Series(name, values, dtype=kinds) for name, values in held.items()]
    sample = pl.DataFrame([pl.Series("question", ["q"] * 3), pl.Series("response", ["r"] * 3), *columns])
    assert detect(sample).wide == {"long"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"a": "x", "b": "y"},
            "the pool has no layout known here; it has a, b: name them with --columns question=COLUMN",
        ),
        ({"text": "plain"}, "the pool has no layout known here; it has text: "),
        ({"prompt": JSON_TURNS, "response": "r"}, "the pool: the column prompt holds turns of a chat as JSON text; "),
        ({"question": ["q"], "response": ["r"]}, "the pool is one JSON object of lists; write it as JSON Lines"),
        ({"data": [{"question": "q"}]}, "the pool is one JSON object of lists; write it as JSON Lines"),
    ],
)
def test_what_has_no_layout_is_told_what_to_do(row: dict[str, Any], words: str) -> None:
    with pytest.raises(PoolError) as refused:
        found(row)
    assert str(refused.value).startswith(words)


# --- two columns could be meant -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "best"),
    [
        ({"question": "q", "solution": "short", "code": [TRACE], "gt": "4"}, "code"),
        ({"question": "q", "solution": "s" * 3_000, "raw": "<think>t</think>4"}, "raw"),
        ({"instruction": "q", "output": "short", "transcript": TRACE}, "transcript"),
    ],
)
def test_a_likelier_response_is_asked_for_and_the_answer_settles_it(row: dict[str, Any], best: str) -> None:
    with pytest.raises(AmbiguousLayoutError) as refused:
        found(row)
    message = str(refused.value)
    assert f"could be {'solution' if 'solution' in row else 'output'} and {best}; say which" in message
    settled = found(row, columns=parse_columns(message.partition("--columns ")[2]))
    assert settled.response == best
    assert settled.gold == ("gt" if "gt" in row else None)


def test_naming_something_else_does_not_settle_it() -> None:
    row = {"question": "q", "solution": "short", "code": TRACE, "gt": "4"}
    with pytest.raises(AmbiguousLayoutError):
        found(row, columns={"gold": "gt"})
    assert found(row, columns={"response": "solution"}).response == "solution"


# --- overridden -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "columns"])
def test_a_layout_that_does_not_fit_is_not_forced(name: str) -> None:
    with pytest.raises(PoolError, match=f"^x: x.jsonl does not fit the layout {name}; it has a: name them"):
        found({"a": 1}, layout=name, where="x: x.jsonl")


def test_a_layout_can_be_chosen() -> None:
    row = {"messages": [TURN], "question": "q", "response": "r"}
    assert found(row).name == "messages"
    assert found(row, layout="question-solution").response == "response"
    with pytest.raises(UsageError, match="no layout is called llama; --layout can be openr1, messages, "):
        found(row, layout="llama")


ROW = {"a": "q", "b": "r", "c": "t", "d": "4", "question": "other", "input": "more"}


@pytest.mark.parametrize(
    ("columns", "layout"),
    [
        ({"question": "a", "response": "b"}, "columns (question=a, response=b)"),
        ({"response": "b"}, "columns (question=question, response=b)"),
        ({"question": "a", "trace": "c"}, "columns (question=a, trace=c)"),
        (
            {"question": "a", "trace": "c", "answer": "b", "gold": "d"},
            "columns (question=a, trace=c, answer=b, gold=d)",
        ),
        ({"question": "a", "trace": "c", "response": "b"}, "columns (question=a, trace=c, answer=b)"),
        (
            {"question": "a", "response": "b", "category": "c", "correct": "d", "complete": "d", "finish": "d"},
            "columns (question=a, response=b, category=c, correct=d, complete=d, finish=d)",
        ),
    ],
)
def test_columns_are_what_their_user_says(columns: dict[str, str], layout: str) -> None:
    assert str(found(ROW, columns=columns)) == layout


def test_a_question_alone_can_be_named() -> None:
    assert found({"a": "q", "generations": ["r"]}, columns={"question": "a"}).question == ("a",)
    assert found({"a": "q", "messages": [TURN]}, columns={"question": "a"}).question == ("a",)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"prompt": "a"}, "--columns knows no role prompt; roles are question, response, "),
        ({"question": "z"}, "the pool has no column z for question; it has a, b, c, d, question, input, n, l"),
        ({"question": "a", "response": "n"}, "--columns response=n: it holds Int64, no text; name another column"),
        ({"question": "a", "trace": "l"}, "--columns trace=l: it holds List(Float64), no text; name another column"),
        ({"question": "a", "response": "t"}, "--columns response=t: it holds turns of a chat, or objects, and no text"),
        ({"question": "a", "response": "o"}, "--columns response=o: it holds turns of a chat, or objects, and no text"),
        ({"question": "j", "response": "b"}, "--columns question=j: it holds turns of a chat, or objects, and no text"),
        ({"response": "b", "answer": "d"}, "--columns: give response alone, or trace with answer"),
        ({"response": "b", "trace": "c", "answer": "d"}, "--columns: give response alone, or trace with answer"),
    ],
)
def test_columns_that_cannot_be(columns: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        found(ROW | {"n": 3, "l": [0.5], "t": [TURN], "o": TURN, "j": JSON_TURNS}, columns=columns)
    assert str(refused.value).startswith(words)


def test_an_answer_needs_a_trace() -> None:
    with pytest.raises(UsageError, match="an answer stands beside a trace; name it too, trace=COLUMN"):
        found({"question": "q", "response": "r", "d": "4"}, columns={"answer": "d"})
    row = {"question": "q", "thinking": "t", "response": "r", "d": "4"}
    assert found(row, columns={"answer": "d"}).answer == "d"


def test_columns_as_they_are_typed() -> None:
    assert parse_columns("question=a, response = b ,") == {"question": "a", "response": "b"}
    assert parse_columns("gold=a=b") == {"gold": "a=b"}
    with pytest.raises(UsageError, match="names question twice"):
        parse_columns("question=a,response=b,question=c")
    for text in ("", "question", "question=", ","):
        with pytest.raises(UsageError, match="is not of the form question=COLUMN"):
            parse_columns(text)


# --- real files -----------------------------------------------------------------------------------------------------

REAL = {
    "traces/limo_r1_distill_qwen32b": "question-solution (question=question, response=solution, gold=gold_answer)",
    "traces/limo_qwen25_32b_short": "question-solution (question=question, response=solution, gold=gold_answer)",
    "traces/limo_official_solutions": "question-solution (question=question, response=solution, gold=gold_answer)",
    "traces/math_train_thinking_models": "chat (question=question_extracted, chat=text)",
    "traces/marco_o1_cot_demo": "alpaca (question=instruction, response=response)",
    "unlicensed/r1_bangla_mmlu_traces": (
        "trace-answer (question=formated_question, trace=reason, answer=gen_ans, gold=answer)"
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_pools_are_read_without_being_told_how(shared: Path, name: str) -> None:
    path = shared / "data" / f"{name}.parquet"
    pool = pool_of(path)
    (part,) = pool.parts
    assert part.layout == REAL[name]
    assert (part.rows, part.bad) == (pl.read_parquet(path).height, 0)
    assert pool.rows == part.examples == part.rows
    rows = content(pool)
    assert all(row["trace"].strip() for row in rows)
    thought = [row["head"].rstrip().endswith(("<think>", "<Thought>")) for row in rows]
    assert sum(thought) == (0 if "limo" in name else len(rows))


def test_the_truly_ambiguous_pool_asks_and_its_answer_settles_it(shared: Path) -> None:
    path = shared / "data/traces/skyt1_math_traces.parquet"
    with pytest.raises(AmbiguousLayoutError) as refused:
        pool_of(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: the response could be solution and ")
    pool = pool_of(path, columns=parse_columns(message.partition("--columns ")[2]))
    frame = pl.read_parquet(path)
    rows = content(pool)
    assert [row["head"] + row["trace"] + row["tail"] for row in rows] == frame["code"].list.first().to_list()
    assert [row["gold"] for row in rows] == frame["gt"].to_list()
