"""Filters, orders and the search against the score table and the pool's own texts."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

from select2reason.errors import UsageError
from select2reason.view.explored import Asked, Explored
from select2reason.view.query import NO_CATEGORY, Finder, Query

from .conftest import Looked

OTHER = Asked(weight=0.7, fraction=Decimal("0.2"))


@pytest.fixture(scope="module")
def explored(demo: Looked) -> Explored:
    return demo.open()


def found(explored: Explored, asked: Asked = OTHER, **query: object) -> list[int]:
    rows: list[int] = Finder(explored).rows(Query(**query), explored.choice(asked)).tolist()  # type: ignore[arg-type]
    return rows


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"shown": "looping"}, pl.col("reason") == "looping"),
        ({"flag": "looping"}, pl.col("looping")),
        ({"answer": "right"}, ~pl.col("wrong_answer") & ~pl.col("no_answer").fill_null(False)),
        ({"answer": "wrong"}, pl.col("wrong_answer") & ~pl.col("no_answer").fill_null(False)),
        ({"answer": "none"}, pl.col("no_answer")),
        ({"shown": "eligible"}, pl.col("rank_joint").is_not_null()),
        ({"least_tokens": 500.0, "most_tokens": 900.0}, pl.col("trace_tokens").is_between(500, 900)),
        ({"least_difficulty": 0.4}, pl.col("difficulty") >= 0.4),
        ({"flag": "cut_off", "most_tokens": 2000.0}, pl.col("cut_off") & (pl.col("trace_tokens") <= 2000)),
    ],
    ids=str,
)
def test_filters_are_those_of_the_score_table(
    demo: Looked, explored: Explored, query: dict[str, object], expected: pl.Expr
) -> None:
    table = pl.read_parquet(demo.folder / "scores.parquet")
    rows = table.filter(expected)["row"].to_list()
    assert rows
    assert sorted(found(explored, Asked(), **query)) == rows


def test_answers_that_are_not_known(real_traces: Looked) -> None:
    table = pl.read_parquet(real_traces.folder / "scores.parquet")
    rows = table.filter(pl.col("wrong_answer").is_null(), ~pl.col("no_answer").fill_null(False))["row"].to_list()
    assert sorted(found(real_traces.open(), Asked(), answer="unknown")) == rows != []


def test_what_comes_in_and_goes_out_is_the_difference_of_the_choices(explored: Explored) -> None:
    before, after = set(found(explored, Asked(), shown="selected")), set(found(explored, shown="selected"))
    assert set(found(explored, shown="in")) == after - before != set()
    assert set(found(explored, shown="out")) == before - after


@pytest.mark.parametrize("sort", ["difficulty", "trace_tokens", "total_tokens", "rethinking_tokens", "row"])
@pytest.mark.parametrize("descending", [False, True])
def test_orders_hold_every_row_once(explored: Explored, sort: str, descending: bool) -> None:
    rows = found(explored, sort=sort, descending=descending)
    table = explored.table.with_row_index("row")
    values = [value for value in table[rows][sort].to_list() if value is not None]
    assert sorted(rows) == list(range(explored.pool.rows))
    assert values == sorted(values, reverse=descending)


def test_a_search_finds_words_in_any_case_and_a_row_by_its_number(demo: Looked, explored: Explored) -> None:
    questions = pl.concat(
        [
            batch
            for shard in range(len(explored.pool.shards))
            for batch in explored.pool.batches(["question"], shard=shard)
        ]
    )
    holding = questions.with_row_index("row").filter(pl.col("question").str.to_lowercase().str.contains("remainder"))
    assert 0 < holding.height < explored.pool.rows
    assert sorted(found(explored, search=" REMAINDER ")) == holding["row"].to_list()
    for writing in ("row:17", "ROW: 17", "row:0,017"):
        assert found(explored, search=writing) == [17]
    assert found(explored, search="row:999999") == []


@pytest.mark.parametrize("words", ["(", "[a-z]+", r"\d", '"of the"', "$x$", "*", "#", "日本"])
def test_a_search_is_for_the_words_as_they_stand(explored: Explored, words: str) -> None:
    questions = pl.concat(
        [
            batch
            for shard in range(len(explored.pool.shards))
            for batch in explored.pool.batches(["question"], shard=shard)
        ]
    )["question"]
    assert sorted(found(explored, search=words)) == [
        i for i, question in enumerate(questions) if words.strip('"') in question.lower()
    ]
    both = found(explored, search="sum positive")
    assert sorted(both) == [
        i for i, text in enumerate(questions) if "sum" in text.lower() and "positive" in text.lower()
    ]
    assert both


def test_categories_and_those_without_one(real_traces: Looked, explored: Explored) -> None:
    names = explored.categories
    for name in names.unique().drop_nulls().to_list():
        assert sorted(found(explored, category=f"={name}")) == [i for i, one in enumerate(names) if one == name] != []
    without = real_traces.open()
    assert len(found(without, Asked(), category=NO_CATEGORY)) == without.pool.rows
    assert found(without, Asked(), category="=nothing") == []


@pytest.mark.parametrize("query", [{"shown": "?"}, {"flag": "?"}, {"answer": "?"}, {"sort": "?"}])
def test_unknown_words_are_refused_with_those_that_are_known(query: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="is one of"):
        Query(**query)  # type: ignore[arg-type]
