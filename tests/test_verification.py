"""Which part of a response its answer is taken from: the same as from the whole, however long it is."""

from __future__ import annotations

import polars as pl
import pytest

from select2reason.grading import final_answer
from select2reason.verification import answers_spec

LONG = "We look at one case after the other, and none of them helps. " * 200


def said(head: str, trace: str, tail: str, gold: str | None = "4") -> tuple[str | None, str | None]:
    batch = pl.DataFrame({"head": [head], "trace": [trace], "tail": [tail], "gold": pl.Series([gold], dtype=pl.String)})
    return answers_spec().make().score(batch).row(0)


@pytest.mark.parametrize(
    "response",
    [
        f"{LONG}\\boxed{{4}}",
        f"\\boxed{{3}} {LONG} \\boxed{{4}}.",
        f"\\boxed{{4}} {LONG}",
        f"{LONG}\n\nThe answer is 4.",
        f"It is \\boxed{{4}}.\n\nQuestion: and what is 3 + 3?\n{LONG} \\boxed{{6}}",
        f"{LONG} \\boxed{{1}} and \\boxed{{3}}.",
        f"It is \\boxed{{4}}. {LONG} It stands in \\boxed{{}} above.",
        f"It is \\boxed{{4}}. {LONG} So \\boxed{{4",
        '{"thoughts": "' + LONG + 'it might be \\\\boxed{3}", "answer": "4"}',
        LONG,
        "",
    ],
)
def test_without_tags_the_whole_response_speaks(response: str) -> None:
    assert said("", response, "")[0] == final_answer(response)


def test_a_trace_alone_speaks_for_itself() -> None:
    assert said("<think>\n", "So it is \\boxed{4}.", "\n</think>")[0] == "4"


def test_with_tags_only_what_follows_the_thinking_speaks() -> None:
    assert said("<think>", "\\boxed{3}", "</think>\n\nIt is \\boxed{4}.") == ("4", "4")
    assert said("<think>", "\\boxed{3}", "</think>") == (None, "4")  # tags of its own, and nothing behind them
    assert said("<think>", "\\boxed{3}", "") == (None, "4")  # never closed


@pytest.mark.parametrize(
    ("gold", "expected"),
    [(None, None), ("", None), ("proof", None), ("notfound", None), ("#### 4", "4"), ("so it is \\boxed{4}", "4")],
)
def test_gold_answers(gold: str | None, expected: str | None) -> None:
    assert said("", "\\boxed{4}", "", gold)[1] == expected
