"""Traces measured in columns, against the plain definition row by row."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from select2reason import trace
from select2reason.frames import WHITE
from select2reason.tokens import Tokenizer, load_tokenizer
from select2reason.trace import (
    RETHINKING_WORDS_ZH,
    SYSTEM_PROMPT,
    TraceScorer,
    find_repeats,
)
from select2reason.utf8 import Bytes

BUILTIN = load_tokenizer()


class Cautious:
    """The built-in tokenizer without its licence to cut: every text is then counted whole."""

    cuts_at_newlines = False
    digest = "cautious"
    count = staticmethod(BUILTIN.count)
    encode = staticmethod(BUILTIN.encode)
    wake = staticmethod(BUILTIN.wake)
    rest = staticmethod(BUILTIN.rest)


def measured(rows: list[tuple[str, str, str, str]], tokenizer: Tokenizer = BUILTIN) -> pl.DataFrame:
    batch = pl.DataFrame(rows, schema=dict.fromkeys(("question", "head", "trace", "tail"), pl.String), orient="row")
    return TraceScorer(tokenizer).score(batch)


def trace_of(text: str, tokenizer: Tokenizer = BUILTIN) -> dict[str, object]:
    return measured([("Q", "<think>", text, "</think>\n\n4")], tokenizer).row(0, named=True)


def count(text: str) -> int:
    return int(BUILTIN.count(pl.Series([text]))[0])


def chat(question: str, response: str) -> str:
    turns = (("system", SYSTEM_PROMPT), ("user", question), ("assistant", response))
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)


def normalise(trace: str) -> str:
    """A trace without the steps that repeat an earlier one exactly (METHOD 9.7)."""
    seen: set[str] = set()
    kept = []
    for step in trace.split("\n\n"):
        if step.strip() not in seen:
            seen.add(step.strip())
            kept.append(step)
    return "\n\n".join(kept)


def rethinking(text: str) -> int:
    words = re.findall(r"\b(?:wait|alternatively|maybe|however)\b", text, re.IGNORECASE)
    return len(words) + len(re.findall("|".join(RETHINKING_WORDS_ZH), text))


# --- by hand --------------------------------------------------------------------------------------------------------


def test_steps_that_repeat_an_earlier_one_exactly_are_dropped() -> None:
    assert normalise("a\n\nb\n\na") == "a\n\nb"
    assert normalise("a\n\n a \n\nb") == "a\n\nb"  # equal after trimming
    assert normalise(" a\n\na\n\nb") == " a\n\nb"  # the first is kept untrimmed
    assert normalise("a\nb\n\na\n\nb") == "a\nb\n\na\n\nb"  # a step is a paragraph
    assert normalise("\n\n\n\n") == ""
    assert normalise("") == ""


def test_a_loop_earns_nothing() -> None:
    looped, once = trace_of("So x = 3.\n\n" * 50 + "Done."), trace_of("So x = 3.\n\nDone.")
    assert looped["trace_tokens"] == once["trace_tokens"] == count("So x = 3.\n\nDone.")
    assert looped["trace_tokens_raw"] == count("So x = 3.\n\n" * 50 + "Done.")


def test_rethinking_words_are_whole_words_of_any_case_in_the_normalised_trace() -> None:
    step = "Wait, WAIT. Waiting; await. Maybe alternatively however."
    text = f"{step}\n\n等等，也许可能。\n\n{step}"
    assert trace_of(text)["rethinking_tokens"] == 5 + 3


@pytest.mark.parametrize(("text", "empty"), [("", True), (" \n\n\t", True), ("x", False)])
def test_no_trace(text: str, empty: bool) -> None:
    assert trace_of(text)["no_trace"] is empty


def test_total_tokens_are_those_of_the_trained_example() -> None:
    rows = [
        ("What is 2+2?", "<think>", "\nOkay.\n\nSo 4.\n", "</think>\n\nIt is \\boxed{4}."),
        ("  What?", "<think>\n", "Okay", "\n</think>\n\n4"),
        ("What?", "", "No tags at all.", ""),
        ("What?", "", "Closed only", "</think>4"),
        ("What?", "<think>", "", "</think>"),
        ("What?\n", "Sure. <think>", " \n", "</think>"),
        ("What?", "<think>", "\nopen to the end\n", ""),
    ]
    expected = [count(chat(question, head + trace + tail)) for question, head, trace, tail in rows]
    assert measured(rows)["total_tokens"].to_list() == expected


def test_equal_traces_have_equal_keys() -> None:
    trace = measured([("Q", "", "t", ""), ("Another", "", "t", ""), ("Q", "", "u", "")])["trace_key"]
    assert trace[0] == trace[1] != trace[2]


def test_repeats_know_where_no_safe_cut_is() -> None:
    traces = ["a\n\nb\n\na\n\nc", "a\n\nb\n\na", "a\n\n a\n\nb", "a\n\nb", "a\n\n b\n\na"]
    repeats = find_repeats(Bytes.of(pl.Series(traces)))
    assert repeats.rows[repeats.again].tolist() == [0, 1, 2, 4]
    assert repeats.rows[repeats.at_end].tolist() == [1, 4]
    assert repeats.normalised(np.array([1, 2])).to_list() == ["a\n\nb", "a\n\nb"]
    assert repeats.uneven.tolist() == [2, 4]  # a space before what is dropped; a space before what then ends the trace


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.sampled_from([*WHITE.replace("\n", ""), "a", "é", "等", "😀", "\u200b"]), max_size=9)))
def test_steps_are_trimmed_as_strings_are(signs: list[list[str]]) -> None:
    steps = ["".join(step) for step in signs]
    repeats = find_repeats(Bytes.of(pl.Series(["\n\n".join(steps)], dtype=pl.String)))
    trimmed = [step.strip() for step in steps or [""]]
    again = [step in trimmed[:number] for number, step in enumerate(trimmed)]
    assert repeats.again.tolist() == again
    apart = find_repeats(Bytes.of(pl.Series([f"{step}a\n\na" for step in steps], dtype=pl.String)))
    assert apart.uneven.tolist() == [row for row, step in enumerate(steps) if not step.strip() and step]


# --- against the definition -----------------------------------------------------------------------------------------

STEP = st.one_of(
    st.sampled_from(
        ["Wait, 3.", "So x = 3.", "", " So x = 3. ", "\n", "```\ncode\n```", "可能。", "However!", "e\u0301", "\t", "1"]
    ),
    st.text(alphabet="ab .\n\té等√", max_size=12),
)
TRACE = st.lists(STEP, max_size=9).map("\n\n".join)
HEAD = st.sampled_from(["<think>", "<think>\n", "", "ok <think>", " "])
TAIL = st.sampled_from(["</think>\n\n4", "</think>", "", "\n</think>\n\n4", " 4", "\n"])
ROWS = st.lists(st.tuples(st.text(alphabet="a \n.é", max_size=6), HEAD, TRACE, TAIL), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None)
@given(ROWS)
def test_one_pass_gives_what_counting_each_text_gives(rows: list[tuple[str, str, str, str]]) -> None:
    table = measured(rows)
    assert table["trace_tokens_raw"].to_list() == [count(trace) for _, _, trace, _ in rows]
    assert table["trace_tokens"].to_list() == [count(normalise(trace)) for _, _, trace, _ in rows]
    assert table["total_tokens"].to_list() == [count(chat(q, head + trace + tail)) for q, head, trace, tail in rows]
    assert table["rethinking_tokens"].to_list() == [rethinking(normalise(trace)) for _, _, trace, _ in rows]


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_a_tokenizer_that_may_not_be_cut_gives_the_same(rows: list[tuple[str, str, str, str]]) -> None:
    assert measured(rows).equals(measured(rows, Cautious()))


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_many_line_breaks_are_measured_in_parts(rows: list[tuple[str, str, str, str]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trace, "_MOST_BREAKS", 1)
        in_parts = measured(rows)
    assert in_parts.equals(measured(rows))


def test_real_traces_measure_as_defined(shared: Path) -> None:
    traces = pl.read_parquet(shared / "data/traces/limo_r1_distill_qwen32b.parquet")["solution"]
    table = measured([("Q", "", trace, "") for trace in traces])
    assert table["trace_tokens"].to_list() == BUILTIN.count(pl.Series([normalise(t) for t in traces])).tolist()
    assert table["rethinking_tokens"].to_list() == [rethinking(normalise(t)) for t in traces]
