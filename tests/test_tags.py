"""Where the trace is inside a response: tags of every family, columns of their own, whole-chat strings (METHOD 9.4)."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from select2reason import tags

FAMILIES = pytest.mark.parametrize(("opening", "closing"), tags.TAGS, ids=[opening for opening, _ in tags.TAGS])
Parts = tuple[str, str, str, bool, bool]


def split(text: str) -> Parts:
    """head, trace, tail, opened, closed"""
    return tags.split_response(pl.Series([text])).row(0)


def wrapped(trace: str | None, answer: str | None) -> Parts:
    columns = (pl.Series([text], dtype=pl.String) for text in (trace, answer))
    return tags.wrap(*columns).row(0)


# --- inside a response ----------------------------------------------------------------------------------------------


@FAMILIES
def test_opened_and_closed(opening: str, closing: str) -> None:
    assert split(f"{opening}十 is 10{closing}\nTen.") == (opening, "十 is 10", f"{closing}\nTen.", True, True)
    assert split(f"Hm.\n{opening}a{closing}") == (f"Hm.\n{opening}", "a", closing, True, True)
    assert split(f"{opening}{closing}Ten.") == (opening, "", f"{closing}Ten.", True, True)


@FAMILIES
def test_opened_and_never_closed_runs_to_the_end(opening: str, closing: str) -> None:
    assert split(f"{opening}\nWait, 十") == (opening, "\nWait, 十", "", True, False)
    assert split(opening) == (opening, "", "", True, False)


@FAMILIES
def test_closed_and_never_opened_starts_at_the_beginning(opening: str, closing: str) -> None:
    assert split(f"十, so{closing}10") == ("", "十, so", f"{closing}10", False, True)


@FAMILIES
def test_a_mention_after_the_close_changes_nothing(opening: str, closing: str) -> None:
    tail = f"{closing}I thought between {opening} and {closing}."
    assert split(f"{opening}a{tail}") == (opening, "a", tail, True, True)
    assert split(f"a{tail}") == ("", "a", tail, False, True)


@pytest.mark.parametrize("text", ["No tags, 十.", "", "<b>think</b> </ think>", "<THINK>a</THINK>"])
def test_without_tags_the_whole_response_is_the_trace(text: str) -> None:
    assert split(text) == ("", text, "", False, False)


def test_null_gives_null_and_rows_do_not_touch_each_other() -> None:
    parts = tags.split_response(pl.Series(["<think>a</think>b", None, "plain", "[THINK]c"]))
    assert parts["trace"].to_list() == ["a", None, "plain", "c"]
    assert parts["tail"].to_list() == ["</think>b", None, "", ""]


def test_thinking_spoken_of_inside_a_trace_does_not_cut_it() -> None:
    text = "<think>The tag <thinking> opens, [THINK] too.</think>4"
    assert split(text) == ("<think>", "The tag <thinking> opens, [THINK] too.", "</think>4", True, True)


@pytest.mark.parametrize(
    ("text", "trace", "opened", "closed"),
    [
        ("[THINK]a. [/THINK]Put them in <think> tags.", "a. ", True, True),
        ("<|begin_of_thought|>One <think> here.<|end_of_thought|>4", "One <think> here.", True, True),
        ("[THINK]a </think> b[/THINK]4", "a </think> b", True, True),
        ("[THINK]a[/THINK]b <think>c</think>", "a", True, True),
        ("Not [THINK]: <think>a</think>4", "a", True, True),
        ("a [THINK]b[/THINK] c</think>4", "a [THINK]b[/THINK] c", False, True),
        ("a [THINK] b</think>4", "a [THINK] b", False, True),
        ("[THINK]a</think>4", "[THINK]a", False, True),
        ("[THINK]a, <think> b", "a, <think> b", True, False),
        ("a[/THINK]4; some write <think> first.", "a", False, True),
        ("Sure. <thinking>a</thinking> b</think>4", "Sure. <thinking>a</thinking> b", False, True),
    ],
)
def test_of_several_families_the_first_that_opens_and_closes_counts(
    text: str, trace: str, opened: bool, closed: bool
) -> None:
    assert split(text)[1:2] + split(text)[3:] == (trace, opened, closed)
    several = tags.split_response(pl.Series(["<think>x</think>", text, None, "y"]))
    assert several["trace"].to_list() == ["x", trace, None, "y"]


PIECES = st.sampled_from([tag for pair in tags.TAGS for tag in pair] + ["<thi", "nk>", "\n", "é", "十", "👩‍🔬", "\0"])
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=8).map("".join)


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_head_trace_and_tail_are_the_response_byte_for_byte(texts: list[str]) -> None:
    parts = tags.split_response(pl.Series(texts, dtype=pl.String))
    assert parts.select(pl.col("head") + pl.col("trace") + pl.col("tail")).to_series().to_list() == texts
    for head, _, tail, opened, closed in parts.iter_rows():
        assert opened == any(head.endswith(opening) for opening, _ in tags.TAGS)
        assert closed == any(tail.startswith(closing) for _, closing in tags.TAGS)


# --- columns of their own -------------------------------------------------------------------------------------------


def test_a_trace_and_its_answer_become_one_response() -> None:
    assert wrapped("So 4.", "4") == ("<think>\n", "So 4.", "\n</think>\n\n4", True, True)
    assert wrapped("So 4.", None) == ("<think>\n", "So 4.", "\n</think>", True, True)
    assert wrapped("So 4.", "") == ("<think>\n", "So 4.", "\n</think>", True, True)


def test_an_empty_or_null_trace_beside_an_answer_is_empty() -> None:
    assert wrapped("", "4") == wrapped(None, "4") == ("<think>\n", "", "\n</think>\n\n4", True, True)
    assert wrapped(None, None)[1] is None


@FAMILIES
def test_a_trace_that_brings_its_own_tags_keeps_them(opening: str, closing: str) -> None:
    assert wrapped(f"{opening}a{closing}\n", "4") == (opening, "a", f"{closing}\n\n4", True, True)
    assert wrapped(f"{opening}a", "4") == (opening, "a", "\n</think>\n\n4", True, True)
    assert wrapped(f"{opening}a", None)[3:] == (True, False)  # it was cut off while thinking
    assert wrapped(f"a{closing}", "4") == ("", "a", f"{closing}\n\n4", True, True)


def test_a_tag_that_a_trace_speaks_of_is_not_its_own() -> None:
    trace = "The user wants <think> tags."
    assert wrapped(trace, "4") == ("<think>\n", trace, "\n</think>\n\n4", True, True)
    trace = "Then it writes </think> and stops. More of it."
    assert wrapped(trace, "4") == ("<think>\n", trace, "\n</think>\n\n4", True, True)
    assert wrapped("So.\n</think>\nIt is 4.", "4") == ("", "So.\n", "</think>\nIt is 4.\n\n4", True, True)


@FAMILIES
def test_the_answer_is_what_the_tail_holds_beyond_tags_and_wrappers(opening: str, closing: str) -> None:
    tails = pl.Series("tail", [f"{closing}\n\n 4 ", f"{closing}<answer> 4</answer>", closing, "", None])
    answers = tails.to_frame().select(tags.answer_of(pl.col("tail"))).to_series()
    assert answers.to_list() == ["4", "4", "", "", None]


# --- whole-chat strings ---------------------------------------------------------------------------------------------

CHATS = {
    "chatml": (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\nSo 4.\n</think>\n\n4<|im_end|>\n"
    ),
    "r1": "<｜begin▁of▁sentence｜><｜User｜>2+2?<｜Assistant｜><think>\nSo 4.\n</think>\n\n4<｜end▁of▁sentence｜>",
    "llama-3": (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n2+2?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n<think>\nSo 4.\n</think>\n\n4<|eot_id|>"
    ),
    "gpt-oss": (
        "<|start|>system<|message|>Be brief.<|end|><|start|>user<|message|>2+2?<|end|>"
        "<|start|>assistant<|channel|>analysis<|message|>So 4.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>4<|return|>"
    ),
}


@pytest.mark.parametrize("template", CHATS)
def test_question_and_response_of_a_whole_chat(template: str) -> None:
    texts = pl.Series([CHATS[template], None])
    assert tags.is_chat(texts)
    assert tags.split_chats(texts).rows() == [("2+2?", "<think>\nSo 4.\n</think>\n\n4"), (None, None)]


@pytest.mark.parametrize("template", CHATS)
def test_a_chat_of_two_questions_is_no_single_example(template: str) -> None:
    assert tags.split_chats(pl.Series([CHATS[template] * 2])).rows() == [(None, None)]


def test_a_chat_that_ends_while_thinking_is_still_open() -> None:
    opened = [CHATS[template].partition("So")[0] + "So" for template in CHATS]
    for _, response in tags.split_chats(pl.Series(opened)).rows():
        assert split(response)[1:] == ("\nSo", "", True, False)


def test_texts_that_are_no_chats() -> None:
    plain = pl.Series(["2+2?", "I like <|im_start|>.", None])
    assert not tags.is_chat(plain)
    assert not tags.is_chat(pl.Series([None], dtype=pl.String))
    assert tags.split_chats(plain).rows() == [(None, None)] * 3
