"""Question groups: the same, nearly the same, and what only looks like it."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from select2reason import wording
from select2reason.near_duplicates import OUTPUTS, question_groups, sketches

LONG = (
    "A merchant sells $n$ lamps on the first day and $3$ more on each day that follows; after 12 days he has sold 450"
    " lamps in all, and he wants to know how many of them he sold on the last of these days"
)


def sketched(rows: list[tuple[str | None, str | None]]) -> pl.DataFrame:
    questions, golds = (pl.Series(column, dtype=pl.String) for column in zip(*rows, strict=True))
    asked = wording.asked(questions)
    found = wording.words(asked)
    table = sketches(asked, golds, found, wording.grams(found))
    assert table.schema == pl.Schema(OUTPUTS)
    return table


def groups(*rows: tuple[str | None, str | None]) -> list[int]:
    return question_groups(sketched(list(rows))).to_list()


def test_two_gold_answers_are_never_in_one_group_whichever_row_has_them() -> None:
    reworded = LONG.replace("wants to know", "would like to know")
    assert groups((LONG, None), (LONG, "54"), (reworded, "55")) == [0, 0, 1]
    assert groups((LONG, "54"), (LONG, None), (reworded, "55")) == [0, 0, 1]
    assert groups((LONG, None), (LONG, "54"), (reworded, "54")) == [0, 0, 0]
    assert groups((LONG, "54"), (LONG, "55"), (reworded, "54")) == [0, 0, 1]  # it has two of its own already


@pytest.mark.parametrize(
    ("question", "gold"),
    [
        (LONG, "54"),
        (LONG + ".", None),
        (LONG.replace("$n$", "\\( n \\)").upper(), "54"),
        (LONG.replace("wants to know", "would like to know"), "54"),
        (f"{LONG}? Let's think step by step and output the final answer within \\boxed{{}}.", "54"),
    ],
)
def test_nearly_the_same(question: str, gold: str | None) -> None:
    assert groups((LONG, "54"), ("Another.", None), (question, gold)) == [0, 1, 0]


@pytest.mark.parametrize(
    ("question", "gold"),
    [
        (LONG.replace("450", "460"), None),  # another number
        (LONG.replace("n$", "n+1$"), None),  # another formula
        (LONG.replace("wants to know", "would like to know"), "55"),  # another answer
        (LONG.replace("sold on the last", "sold on the first of the two and on the very last"), None),
    ],
)
def test_only_alike(question: str, gold: str | None) -> None:
    assert groups((LONG, "54"), (question, gold)) == [0, 1]


def test_in_short_questions_every_word_counts() -> None:
    assert groups(("Find the sum of 3 and 4.", None), ("Find the product of 3 and 4.", None)) == [0, 1]
    assert groups(("Find the sum of 3 and 4.", None), ("find the  sum of $3$ and $4$", None)) == [0, 0]


def test_questions_without_words_are_what_they_are() -> None:
    assert groups(("", None), ("?", None), (None, None)) == [0, 1, 0]
    assert groups(("x", None), ("y", None), ("x", None)) == [0, 1, 0]


def test_groups_of_questions_in_any_script() -> None:
    bangla = "প্রশ্নে মূলের মাধ্যমে প্রজননকারী উদ্ভিদটি চিহ্নিত করতে হবে এবং কারণ লিখতে হবে"
    assert groups((bangla, None), (bangla.replace("কারণ", "উত্তর"), None), (bangla + "।", None)) == [0, 1, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30) | st.none(), st.text(max_size=3) | st.none()), min_size=1, max_size=12))
def test_equal_rows_are_in_one_group(rows: list[tuple[str | None, str | None]]) -> None:
    found = groups(*rows, *rows)
    assert found[: len(rows)] == found[len(rows) :]


def test_a_group_never_holds_two_gold_answers() -> None:
    words = ["still", "now", "then"]
    texts = [LONG.replace("wants", f"{word} wants") for word in words]
    assert groups(*zip(texts, ["1", None, "2"], strict=True)) == [0, 0, 1]
    assert groups(*zip(texts, ["1", "2", "1"], strict=True)) == [0, 1, 0]


def test_many_of_one_question() -> None:
    rows = [(LONG.replace("wants", f"{word} wants"), "54") for word in ("still", "now", "then", "also", "therefore")]
    assert len(set(groups(*rows))) == 1
