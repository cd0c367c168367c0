"""The pool on disk read back: in order, in any order, over shards of unlike columns; and pools of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from select2reason import building, pool
from select2reason.errors import PoolError, RunError, UsageError
from select2reason.pool import TEXT, Pool, refuse_too_bad
from select2reason.text_shards import TextWriter, text_file
from tests.reading import content, pool_of, texts

WriteRows = Callable[..., Path]


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_BATCH_ROWS", 3)
    monkeypatch.setattr(building, "_SHARD_ROWS", 7)


def rows_of(count: int) -> list[dict[str, Any]]:
    return [{"question": f"q{i}", "response": "r" * (i % 5 * 10), "id": i} for i in range(count)]


# --- reading back ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_bounds")
def test_batches_are_in_order_a_row_group_at_a_time(write_rows: WriteRows) -> None:
    opened = pool_of(write_rows(rows_of(17)))
    assert opened.starts.tolist() == [0, 7, 14, 17]
    batches = [batch for shard in range(3) for batch in opened.batches(["tail", "question"], shard=shard)]
    assert [batch.height for batch in batches] == [3, 3, 1, 3, 3, 1, 3]
    assert batches[0].columns == ["tail", "question"]
    assert pl.concat(batches)["question"].to_list() == [f"q{i}" for i in range(17)]


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """40 rows in shards of 7."""
    folder = tmp_path_factory.mktemp("spread")
    path = folder / "pool.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows_of(40)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "_BATCH_ROWS", 3)
        patch.setattr(building, "_SHARD_ROWS", 7)
        return pool_of(path, cache_dir=folder)


@given(
    asked=st.lists(st.integers(0, 39), max_size=60),
    chunk=st.integers(1, 200),
    held=st.sampled_from([0, 1 << 20]),
    dealt=st.integers(1, 300),
)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rows_are_taken_in_the_order_asked_for(
    spread: Pool, tmp_path: Path, asked: list[int], chunk: int, held: int, dealt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_DEALT_BYTES", dealt)
    monkeypatch.setattr(pool, "_CHUNK_BYTES", chunk)
    monkeypatch.setattr(pool, "_HELD_BYTES", held)
    gathered: list[int] = []
    with spread.take(
        np.array(asked, np.uint32), ["question"], spill=tmp_path / "spill", advance=gathered.append
    ) as chunks:
        parts = {chunk.start: chunk.load()["question"].to_list() for chunk in reversed(chunks)}
        assert {chunk.start: chunk.rows for chunk in chunks} == {start: len(part) for start, part in parts.items()}
    assert [name for start in sorted(parts) for name in parts[start]] == [f"q{i}" for i in asked]
    assert sum(gathered) == len(asked)
    assert not (tmp_path / "spill").exists()


@pytest.mark.parametrize("held", [0, 1 << 20])
def test_chunks_keep_their_bounds_and_their_number(
    spread: Pool, tmp_path: Path, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_HELD_BYTES", held)
    monkeypatch.setattr(pool, "_CHUNK_BYTES", 100)
    backwards = np.arange(40, dtype=np.uint32)[::-1]
    size_of = pl.sum_horizontal(pl.col(TEXT).str.len_bytes().fill_null(0))
    with spread.take(backwards, TEXT, spill=tmp_path / "spill") as chunks:
        sizes = [chunk.load().select(size_of).to_series().sum() for chunk in chunks]
    assert sizes == [chunk.text_bytes for chunk in chunks]
    assert len(sizes) > 5 and max(sizes) <= 100 + 43  # and one row more
    monkeypatch.setattr(pool, "_MOST_CHUNKS", 3)
    with spread.take(backwards, ["question"], spill=tmp_path / "spill") as chunks:
        assert len(chunks) <= 4


def test_what_is_not_read_to_the_end_leaves_nothing(
    spread: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_CHUNK_BYTES", 50)
    monkeypatch.setattr(pool, "_HELD_BYTES", 0)
    with spread.take(np.arange(40, dtype=np.uint32), ["question"], spill=tmp_path / "spill") as chunks:
        chunks[0].load()
        assert (tmp_path / "spill").exists()
    assert not (tmp_path / "spill").exists()


def test_texts_that_lead_out_of_their_file_are_a_damaged_cache(write_rows: WriteRows) -> None:
    """What is mapped must not be believed: a text that begins before the file does would end the process."""
    opened = pool_of(write_rows(rows_of(3)))
    whole = pa.array(["ask"] * 3, pa.large_string())
    ends = pa.py_buffer(np.array([0, -(1 << 40), 6, 9]))
    broken = pa.LargeStringArray.from_buffers(3, ends, whole.buffers()[2])
    with TextWriter(text_file(opened.root, 0), TEXT) as writer:
        writer.write(pa.record_batch([broken] * len(TEXT), names=list(TEXT)))
    with pytest.raises(RunError, match=r"is damaged .*cache --clear"):
        list(opened.batches(["question"], shard=0))
    with pytest.raises(RunError, match=r"is damaged .*cache --clear"):
        opened.few(np.array([1], np.uint32), ["question"])


# --- narrow columns -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_bounds")
def test_shards_of_unlike_types_and_missing_columns_stand_together(write_rows: WriteRows) -> None:
    values: list[Any] = [*range(7), *"abcdefg", *[{"x": 1}] * 7, *[None] * 7, *[[1]] * 2]
    rows = [{"question": "q", "response": "r", "id": value} for value in values]
    late = [row | {"late": i} for i, row in enumerate(rows)][-3:]
    opened = pool_of(write_rows(rows[:-3] + late))
    assert opened.own_columns() == ["id", "late"]
    narrow = opened.narrow(["own:late", "own:id", "own:none", "correct"])
    assert narrow.columns == ["own:late", "own:id", "own:none", "correct"]
    assert narrow["own:id"].to_list() == [
        *map(str, range(7)),
        *"abcdefg",
        *['{"x":1}'] * 7,
        *[None] * 7,
        *["[1]"] * 2,
    ]
    assert narrow["own:late"].to_list() == [None] * 27 + [27, 28, 29]
    assert narrow["own:none"].null_count() == narrow["correct"].null_count() == 30


def test_columns_of_two_pools_stand_together(write_rows: WriteRows) -> None:
    first = write_rows([{"question": "q", "response": "r", "id": 1, "kind": ["a"]}], "a.jsonl")
    second = write_rows([{"prompt": "p", "completion": "c", "id": "x", "source": "s"}], "b.jsonl")
    opened = pool_of(first, second)
    assert texts(opened) == [("q", "", "r", ""), ("p", "", "c", "")]
    narrow = opened.narrow(["source", "own:source", "own:id", "own:kind"])
    assert narrow.rows() == [(0, None, "1", ["a"]), (1, "s", "x", None)]


CLASHING = (
    *("position", "generation", "source", "source_row", "text_bytes", "correct", "cut_off", "category", "problem"),
    *("own:x", "x", "own:", "", "row", "__index__", "at", "*", "^q.*$", "question ", "head", "a.b", "a\nb"),
)


def test_no_name_of_a_column_clashes(write_rows: WriteRows, tmp_path: Path) -> None:
    given = {name: f"value of {name}" for name in CLASHING}
    rows = [{"question": f"q{i}", "response": "r", **given, "n": i} for i in range(3)]
    pl.DataFrame(rows).write_parquet(tmp_path / "pool.parquet")
    columns = {"question": "question", "response": "response"}
    used = {"category", "correct"}  # played by the columns of these names; a flag is carried all the same
    for path in (write_rows(rows), tmp_path / "pool.parquet"):
        opened = pool_of(path, columns=columns)
        assert set(opened.own_columns()) == {*given, "n"} - {"category"}
        for i, row in enumerate(content(opened)):
            assert row["own:n"] == i and row["category"] == "value of category"
            assert {name: row[f"own:{name}"] for name in given if name not in used} == {
                name: value for name, value in given.items() if name not in used
            }


# --- whatever form a pool comes in ----------------------------------------------------------------------------------

FORMS = [{"question": f"q{i}", "response": "<think>t</think>a", "id": i} for i in range(5)]
PARTS = [(f"q{i}", "<think>", "t", "</think>a") for i in range(5)]


def test_a_folder_that_datasets_made(tmp_path: Path) -> None:
    train, test = Dataset.from_list(FORMS), Dataset.from_list([{"question": "t", "response": "r", "id": 9}])
    train.save_to_disk(tmp_path / "one", num_shards=2)
    DatasetDict({"train": train, "test": test}).save_to_disk(tmp_path / "two")
    assert texts(pool_of(tmp_path / "one")) == texts(pool_of(tmp_path / "two")) == PARTS
    assert texts(pool_of(tmp_path / "two" / "train")) == PARTS
    assert texts(pool_of(tmp_path / "two", split="test")) == [("t", "", "r", "")]


def test_a_folder_as_the_hub_has_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    for number, part in enumerate((FORMS[:2], FORMS[2:])):
        pl.DataFrame(part).write_parquet(tmp_path / f"data/train-{number:05}-of-00002.parquet")
    pl.DataFrame(FORMS).write_parquet(tmp_path / "data/test-00000-of-00001.parquet")
    assert texts(pool_of(tmp_path)) == PARTS
    assert texts(pool_of(f"{tmp_path}/data/train-*.parquet")) == PARTS
    assert texts(pool_of(tmp_path, tmp_path / "data/test-00000-of-00001.parquet")) == PARTS * 2


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["q", "<think>t</think>a"]), pl.List(pl.String)])
def test_text_columns_of_any_type(tmp_path: Path, dtype: Any) -> None:
    listed = dtype == pl.List(pl.String)
    response: Any = ["<think>t</think>a"] if listed else "<think>t</think>a"
    frame = pl.DataFrame({"question": ["q"], "response": [response]}, schema_overrides={"response": dtype})
    frame = frame if listed else frame.with_columns(pl.col("question").cast(dtype))
    frame.write_parquet(tmp_path / "pool.parquet")
    frame.write_ipc(tmp_path / "pool.arrow", compat_level=pl.CompatLevel.newest())
    frame.write_ipc_stream(tmp_path / "old.arrow", compat_level=pl.CompatLevel.oldest())
    for name in ("pool.parquet", "pool.arrow", "old.arrow"):
        assert texts(pool_of(tmp_path / name)) == [("q", "<think>", "t", "</think>a")]


# --- opening, and refusing ------------------------------------------------------------------------------------------


def test_damaged_shards_say_how_to_clear_them(write_rows: WriteRows) -> None:
    opened = pool_of(write_rows(rows_of(1)))
    held = opened.root / "pool.json"
    for text in ("{", "{}", "[]", '{"format": 0}'):
        held.write_text(text)
        with pytest.raises(RunError, match="clear it with: select2reason cache --clear"):
            Pool.open(opened.root, opened.labels)
    held.unlink()
    with pytest.raises(RunError, match="is damaged"):
        Pool.open(opened.root, opened.labels)


def test_too_many_bad_rows_are_refused_with_the_first(write_rows: WriteRows) -> None:
    path = write_rows([*rows_of(9), {"question": None, "response": "r"}])
    assert pool_of(path, max_bad_fraction=0.1).rows == 9
    with pytest.raises(PoolError) as refused:
        pool_of(path, max_bad_fraction=0.05)
    assert str(refused.value) == (
        f"1 of 10 rows cannot be used (first: {path} line 10: no question (null, empty, or a chat that is not one "
        "question and one reply)); mend them, name other columns with --columns, or allow it with "
        "--max-bad-fraction 0.11"
    )


def test_a_pool_without_examples_is_refused(write_rows: WriteRows) -> None:
    path = write_rows([{"question": " ", "response": "r"}] * 2)
    with pytest.raises(PoolError, match=r"the pool holds no example \(first: .* line 1: no question \(.*\)\); give"):
        pool_of(path)


def test_an_empty_pool_can_be_asked(tmp_path: Path) -> None:
    empty = Pool(tmp_path, 0, "d", (), 0, (), ())
    (tmp_path / "quarantine.jsonl").touch()
    assert empty.narrow(["correct"]).height == 0 and empty.own_columns() == []
    with empty.take(np.array([], np.uint32), TEXT, spill=tmp_path / "spill") as chunks:
        assert chunks == []
    with pytest.raises(PoolError, match=r"^the pool holds no example; give a file with rows"):
        refuse_too_bad(empty, 1.0)


def test_what_a_pool_does_not_hold_is_refused_and_is_no_damage(write_rows: WriteRows) -> None:
    made = pool_of(write_rows(rows_of(5)))
    for rows in ([5], [-1], [10**6]):
        with pytest.raises(UsageError, match=rf"the pool has 5 rows, counted from 0; there is no {rows[0]:,}"):
            made.few(np.array(rows), ["question"])
        with pytest.raises(UsageError, match="there is no"):
            made.narrow(["source"], rows=np.array(rows))
    for odd in (np.array([True, False]), np.array([1.5]), np.array([[1]]), np.array(["a"]), np.array(1)):
        with pytest.raises(UsageError, match="rows are an array of whole numbers, of one dimension"):
            made.few(odd, ["question"])
    assert made.few(np.array([]), ["question"]).height == 0
    with pytest.raises(UsageError, match="qestion is no column of text; there are question, head"):
        made.few(np.array([0], np.uint32), ["qestion"])
    with pytest.raises(UsageError, match="the pool has 1 shards, counted from 0; there is no 1"):
        next(made.batches(["question"], shard=1))
    with pytest.raises(UsageError, match=r"give \['bob'\]"):
        made.asking("bob")
    assert made.asking([]).tolist() == [True] * 5
    assert Pool.open(str(made.root), made.labels) == made  # type: ignore[arg-type]
