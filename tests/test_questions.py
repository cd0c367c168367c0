"""Distinct questions: each once, in order, kept by content, and found again from the rows."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from select2reason import questions
from select2reason.questions import Questions

from .conftest import WriteRows
from .reading import pool_of


def texts(found: Questions) -> list[str]:
    return [
        text
        for shard in range(len(found.pool.shards))
        for batch in found.pool.batches(["question"], shard=shard)
        for text in batch["question"].to_list()
    ]


def test_each_question_stands_once_in_first_seen_order(tmp_path: Path) -> None:
    found = questions.of_column(pl.Series(["b", "a", "b", None, "", "c", "a"]), tmp_path)
    assert texts(found) == ["b", "a", "", "c"]
    assert found.of_row.tolist() == [0, 1, 0, 2, 2, 3, 1]
    assert found.to_rows(pl.DataFrame({"d": [0.1, 0.2, None, 0.4]}))["d"].to_list() == [
        *(0.1, 0.2, 0.1, None, None, 0.4, 0.2)
    ]


def test_a_question_with_two_gold_answers_stands_twice(tmp_path: Path) -> None:
    asked, golds = pl.Series(["b", "a", "b", "b", "a", None]), pl.Series(["1", None, "1", "2", None, "1"])
    found = questions.of_column(asked, tmp_path, golds=golds)
    rows = pl.concat(list(found.pool.batches(["question", "gold"], shard=0))).rows()
    assert rows == [("b", "1"), ("a", None), ("b", "2"), ("", "1")]
    assert found.of_row.tolist() == [0, 1, 0, 2, 1, 3]
    assert found.pool.root != questions.of_column(asked, tmp_path).pool.root


@settings(deadline=None)
@given(asked=st.lists(st.sampled_from("abcdefgh") | st.none(), max_size=60), size=st.integers(1, 7))
def test_every_row_finds_its_question(
    asked: list[str | None], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "SHARD_QUESTIONS", size)
        found = questions.of_column(pl.Series(asked, dtype=pl.String), tmp_path_factory.mktemp("q"))
    assert [texts(found)[n] for n in found.of_row] == [text or "" for text in asked]
    assert len(set(texts(found))) == len(texts(found))
    assert all(size_of <= size for size_of in found.pool.shards)


def test_a_pool_and_a_table_of_the_same_questions_share_their_scores(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = pool_of(write_rows([{"question": f"q{n // 2}", "response": f"r{n}"} for n in range(8)]))
    first, again = questions.of_pool(pool, tmp_path), questions.of_pool(pool, tmp_path)
    table = questions.of_column(pl.Series(["q0", "q1", "q2", "q3"]), tmp_path)
    assert first.pool.root == again.pool.root == table.pool.root
    assert first.of_row.tolist() == again.of_row.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    other = questions.of_column(pl.Series(["q0", "q1", "q2", "q4"]), tmp_path)
    assert other.pool.root != table.pool.root
