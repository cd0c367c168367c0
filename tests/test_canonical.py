"""Layouts applied: every layout's rows as canonical examples, and rows that do not fit their layout."""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl
import pytest

from select2reason.canonical import canonical
from select2reason.layouts import Layout, detect
from tests.reading import examples, response

R = "<think>\nSo 4.\n</think>\n\n4"
SPLIT = ("<think>", "\nSo 4.\n", "</think>\n\n4")
NO_QUESTION = "no question (null, empty, or a chat that is not one question and one reply)"


def parts(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["head"], row["trace"], row["tail"])


# --- one example per generation -------------------------------------------------------------------------------------


def test_openr1_gives_an_example_for_each_generation() -> None:
    row = {
        "problem": "2+2?",
        "solution": "a human one",
        "answer": "4",
        "problem_type": "Algebra",
        "generations": [R, "<think>\nHm", "5", R],
        "correctness_math_verify": [True, None, False, None],
        "correctness_llama": [False, False, True, None],
        "finish_reasons": ["stop", None, "length", "stop"],
        "is_reasoning_complete": [True, False, True, None],
        "uuid": "u1",
    }
    rows = examples([row])
    assert [row["generation"] for row in rows] == [0, 1, 2, 3]
    assert [response(row) for row in rows] == row["generations"]
    assert [row["correct"] for row in rows] == [True, False, False, None]
    assert [row["cut_off"] for row in rows] == [False, True, True, False]
    assert [row["own:correctness_llama"] for row in rows] == [False, False, True, None]
    assert [row["own:finish_reasons"] for row in rows] == ["stop", None, "length", "stop"]
    assert {(row["position"], row["question"], row["gold"], row["category"]) for row in rows} == {
        (0, "2+2?", "4", "Algebra")
    }
    assert {row["own:uuid"] for row in rows} == {"u1"}
    assert "own:solution" not in rows[0] and "own:generations" not in rows[0]


def test_flags_that_are_null_lists_or_too_short_say_nothing() -> None:
    rows = examples(
        [
            {"problem": "q", "generations": ["a", "b"], "correctness_math_verify": [True], "correctness_llama": None},
            {"problem": "q", "generations": ["c"], "correctness_math_verify": None, "correctness_llama": [False]},
        ]
    )
    assert [row["correct"] for row in rows] == [True, None, False]
    assert [row["cut_off"] for row in rows] == [False, False, False]


def test_rows_without_a_generation_are_marked_and_kept() -> None:
    rows = examples([{"problem": "q", "generations": given} for given in (["a"], [], None, [None, "b"])])
    assert [(row["position"], row["generation"], row["trace"]) for row in rows] == [
        (0, 0, "a"),
        (1, None, None),
        (2, None, None),
        (3, 0, None),
        (3, 1, "b"),
    ]
    assert [row["problem"] for row in rows] == [None, *["no response (null)"] * 3, None]


def test_generations_that_came_as_text_in_a_batch_of_mixed_types_are_lists_again() -> None:
    layout = detect(pl.DataFrame({"problem": ["q"], "generations": [["a"]], "correctness_llama": [[True]]}))
    generations = ['["a","b"]', "alone", None, '["c",1,null]', "[broken"]
    batch = {
        "problem": ["q"] * 5,
        "generations": generations,
        "correctness_llama": ["[false,true]", "true", "x", "[", None],
    }
    rows = canonical(layout, pl.DataFrame(batch)).to_dicts()
    assert [row["trace"] for row in rows] == ["a", "b", "alone", None, "c", "1", None, "[broken"]
    assert [row["correct"] for row in rows] == [False, True, True, None, None, None, None, None]


# --- one response a row ---------------------------------------------------------------------------------------------


def test_alpaca_joins_its_two_parts() -> None:
    rows = examples(
        [
            {"instruction": "Add.", "input": "2+2", "output": R},
            {"instruction": "Add.", "input": " ", "output": R},
            {"instruction": "Add.", "input": None, "output": R},
        ]
    )
    assert [row["question"] for row in rows] == ["Add.\n2+2", "Add.", "Add."]
    assert {parts(row) for row in rows} == {SPLIT}
    assert {row["generation"] for row in rows} == {None}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "2+2?", "completion": R},
        {"prompt": [{"role": "user", "content": "2+2?"}], "completion": [{"role": "assistant", "content": R}]},
        {"question": "2+2?", "solution": R},
        {"text": f"<｜User｜>2+2?<｜Assistant｜>{R}<｜end▁of▁sentence｜>"},
        {"text": f"<｜User｜>2+2 ?<｜Assistant｜>{R}", "question": "2+2?"},
        {"messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": R}]},
        {
            "messages": [
                {"role": "system", "content": "Be brief.", "reasoning_content": None},
                {"role": "user", "content": "2+2?", "reasoning_content": None},
                {"role": "assistant", "content": R, "reasoning_content": ""},
            ]
        },
        {"conversations": [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": R}]},
    ],
    ids=["prompt", "prompt turns", "solution", "chat", "chat and question", "messages", "more keys", "sharegpt"],
)
def test_the_same_example_in_every_layout(row: dict[str, Any]) -> None:
    (example,) = examples([row])
    assert (example["question"], *parts(example)) == ("2+2?", *SPLIT)
    assert example["problem"] is None and example["cut_off"] is False and example["correct"] is None


def test_reasoning_in_a_field_of_its_own() -> None:
    def chat(reasoning: str | None, text: str | None) -> dict[str, Any]:
        reply = {"role": "assistant", "content": text, "reasoning_content": reasoning}
        return {"messages": [{"role": "user", "content": "q", "reasoning_content": None}, reply]}

    rows = examples([chat("So 4.", "4"), chat(None, R), chat("So", None), chat(None, None)])
    assert [parts(row) for row in rows] == [
        ("<think>\n", "So 4.", "\n</think>\n\n4"),
        SPLIT,
        ("<think>\n", "So", "\n</think>"),
        (None, None, None),
    ]
    assert [row["problem"] for row in rows] == [None, None, None, "no response (null)"]


def test_a_reply_without_reasoning_has_no_trace_where_others_have_a_field_for_it() -> None:
    def chat(**reply: str | None) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", **reply}]}

    bare = chat(content="It is 4.", reasoning_content=None)
    both = chat(content=R, reasoning_content="So 4.")
    rows = examples([chat(content="4", reasoning_content="So 4."), bare, chat(content="4", reasoning_content=""), both])
    assert [row["trace"] for row in rows] == ["So 4.", "", "", "\nSo 4.\n"]
    assert parts(rows[3]) == SPLIT  # its reasoning is there already, and is not put before it once more
    assert [row["trace"] for row in examples([bare])] == ["It is 4."]


@pytest.mark.parametrize(
    "turns",
    [
        [("human", "q"), ("function_call", "f()"), ("observation", "4"), ("gpt", R)],
        [("human", "q"), ("tool", "4"), ("gpt", R)],
        [("human", "q"), ("critic", "Hm."), ("gpt", R)],
    ],
)
def test_a_chat_with_turns_of_others_is_no_question_and_reply(turns: list[tuple[str, str]]) -> None:
    chats = [[{"from": who, "value": text} for who, text in turns], [{"from": "gpt", "value": R}]]
    chats.append([{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": R}])
    rows = examples([{"conversations": chat} for chat in chats])
    assert [row["problem"] for row in rows] == [NO_QUESTION, NO_QUESTION, None]


def test_a_reply_that_calls_a_tool_is_none() -> None:
    def chat(calls: list[str] | None) -> dict[str, Any]:
        reply = {"role": "assistant", "content": R, "tool_calls": calls}
        return {"messages": [{"role": "user", "content": "q", "tool_calls": None}, reply]}

    assert [row["problem"] for row in examples([chat(["f()"]), chat([]), chat(None)])] == [NO_QUESTION, None, None]


def test_a_turn_s_text_may_come_in_parts() -> None:
    def chat(*parts: dict[str, str | None]) -> dict[str, Any]:
        reply = [{"type": "text", "text": R, "image": None}]
        return {"messages": [{"role": "user", "content": list(parts)}, {"role": "assistant", "content": reply}]}

    text, more = ({"type": "text", "text": words, "image": None} for words in ("2+2", "?"))
    picture = {"type": "image", "text": None, "image": "a.png"}
    rows = examples([chat(text, more), chat(text, picture)])
    assert [(row["question"], row["problem"]) for row in rows] == [("2+2?", None), (None, NO_QUESTION)]
    assert parts(rows[0]) == SPLIT


def test_a_column_of_json_chats_is_known_by_its_name() -> None:
    chat = orjson.dumps([{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": R}]).decode()
    rows = examples([{"messages": chat, "id": 1}, {"messages": "[]", "id": 2}, {"messages": chat, "id": 3}])
    assert [row["question"] for row in rows] == ["2+2?", None, "2+2?"]
    frame = pl.DataFrame({"messages": [chat, "[]", "[1", chat, chat]})
    assert detect(frame).turns == ("messages",)


def test_traces_and_answers_of_their_own_columns() -> None:
    rows = examples(
        [
            {"question": "q", "reasoning": "So 4.", "response": "4"},
            {"question": "q", "reasoning": "<think>\nSo 4.\n</think>", "response": "4"},
            {"question": "q", "reasoning": "", "response": "4"},
            {"question": "q", "reasoning": None, "response": "4"},
            {"question": "q", "reasoning": "So 4.", "response": None},
            {"question": "q", "reasoning": "<think>So", "response": ""},
            {"question": "q", "reasoning": None, "response": None},
        ]
    )
    assert [row["trace"] for row in rows] == ["So 4.", "\nSo 4.\n", "", "", "So 4.", "So", None]
    assert response(rows[0]) == "<think>\nSo 4.\n</think>\n\n4"
    assert response(rows[1]) == R
    assert [row["cut_off"] for row in rows] == [False, False, False, False, False, True, False]
    assert [row["problem"] for row in rows] == [None] * 6 + ["no response (null)"]


def chats(*turns: Any) -> list[str | None]:
    """What is wrong with these chats, given beside one that is right."""
    good = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}]
    layout = detect(pl.DataFrame({"messages": [good]}))
    frame = pl.DataFrame({"messages": pl.Series([good, *turns])})
    first, *others = canonical(layout, frame)["problem"].to_list()
    assert first is None
    return others


def test_chats_that_are_not_one_question_and_one_reply() -> None:
    user, reply = {"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}
    nobody = {"role": None, "content": "?"}
    bad = [[user, reply, user, reply], [user], [reply], [], None, [user, user, reply], [nobody, None]]
    assert chats(*bad) == [NO_QUESTION] * len(bad)
    assert chats([{"role": "User", "content": "q"}, {"role": "model", "content": "r"}]) == [None]


def test_chats_as_json_text() -> None:
    layout = Layout("messages", turns=("messages",))
    texts = ['[{"role":"user","content":"q"},{"role":"assistant","content":"r"}]', "oops", "[1,null]", "[", None]
    rows = canonical(layout, pl.DataFrame({"messages": texts})).to_dicts()
    assert [row["problem"] for row in rows] == [None, *[NO_QUESTION] * 4]
    assert (rows[0]["question"], rows[0]["trace"]) == ("q", "r")


# --- what stands beside the text ------------------------------------------------------------------------------------


def test_a_question_of_white_space_is_none() -> None:
    rows = examples([{"question": text, "response": "r"} for text in ("q", " \n", "", None)])
    assert [row["problem"] for row in rows] == [None, *[NO_QUESTION] * 3]


def test_an_empty_response_is_an_empty_trace() -> None:
    (row,) = examples([{"question": "q", "response": ""}])
    assert (row["trace"], row["problem"], row["cut_off"]) == ("", None, False)


@pytest.mark.parametrize(
    ("values", "correct"),
    [
        ([True, False, None], [True, False, None]),
        ([1, 0, 2], [True, False, None]),
        ([1.0, 0.0, 0.5], [True, False, None]),
        (["True", "no", "perhaps"], [True, False, None]),
        ([[True], [], None], [True, None, None]),
        ([{"a": 1}, None, None], [None, None, None]),
    ],
)
def test_flags_in_any_type(values: list[Any], correct: list[bool | None]) -> None:
    rows = examples([{"question": "q", "response": "r", "correct": value} for value in values])
    assert [row["correct"] for row in rows] == correct


@pytest.mark.parametrize(
    ("values", "gold"),
    [
        ([4, 10**17, None], ["4", "100000000000000000", None]),
        ([4.0, 0.5, None], ["4", "0.5", None]),
        ([["4"], ["4", "5"], []], ["4", '["4","5"]', "[]"]),
        ([None, None, None], [None, None, None]),
    ],
)
def test_gold_answers_become_text(values: list[Any], gold: list[str | None]) -> None:
    rows = examples([{"question": "q", "response": "r", "answer": value} for value in values])
    assert [row["gold"] for row in rows] == gold


CLASHING = (
    *("position", "generation", "head", "trace_", "tail", "correct", "cut_off", "problem_", "source", "source_row"),
    *("text_bytes", "category_", "own:x", "own:", "", "row", "at", "opened", "closed", "*", "^q.*$", "a.b", "literal"),
)


def test_columns_named_like_canonical_ones_are_carried_with_their_values() -> None:
    row = {name: f"value of {name}" for name in CLASHING}
    for text in ({"question": "q", "response": R}, {"question": "q", "generations": [R, R]}):
        for example in examples([row | text]):
            assert {name: example[f"own:{name}"] for name in CLASHING} == row
            assert (example["position"], example["question"], *parts(example)) == (0, "q", *SPLIT)


def test_a_batch_may_lack_columns_or_have_them_in_other_types() -> None:
    layouts = [
        Layout("columns", question=("question",), response="a", gold="b", category="c", correct=("d",), finish="e"),
        Layout("columns", question=("question", "x"), trace="a", answer="b"),
        Layout("openr1", question=("question",), response="a", many=True, correct=("b",), complete="c"),
        Layout("messages", turns=("a", "b")),
        Layout("chat", chat="a"),
    ]
    values: list[Any] = [None, 1, 0.5, True, "[", [1], [[1]], {"a": 1}, [{"a": None}], b"\xff", [None]]
    for layout in layouts:
        for value in values:
            frame = pl.DataFrame({name: [value, None] for name in "abcde"} | {"other": [1, 2]})
            rows = canonical(layout, frame).to_dicts()
            assert {row["position"] for row in rows} == {0, 1}
            assert all(row["problem"].startswith("no question") for row in rows)
        rows = canonical(layout, pl.DataFrame({"other": [1]})).to_dicts()
        assert [row["problem"] is None for row in rows] == [False]
