"""What a pool's columns mean does not depend on its kind of file, nor on where in it they begin."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets
import numpy as np
import polars as pl
import pytest

from select2reason.errors import PoolError, UsageError
from select2reason.opening import Opened, open_pool
from select2reason.scoring import ScorerSpec
from select2reason.settings import PoolSettings

Row = Mapping[str, object]


def rows(count: int, **late: object) -> list[dict[str, object]]:
    """Examples of which all from the 70th on have these columns too."""
    made: list[dict[str, object]] = [
        {"question": f"What is {n} plus {n}?", "response": f"<think>\nWell, {n}.\n</think>\n\n{2 * n}"}
        for n in range(count)
    ]
    return [row | (late if n >= 70 else {}) for n, row in enumerate(made)]


def written(file: Path, made: Sequence[Row]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in made).encode()
    if file.suffix == ".parquet":
        pl.DataFrame(made, infer_schema_length=None).write_parquet(file)
    else:
        file.write_bytes(gzip.compress(text) if file.suffix == ".gz" else text)
    return file


def opened(file: Path, cache: Path, **given: object) -> Opened:
    return open_pool(PoolSettings((str(file),), cache_dir=cache, max_bad_fraction=1.0, **given))  # type: ignore[arg-type]


def flags(found: Opened) -> list[bool | None]:
    return found.pool.narrow(["correct"])["correct"].to_list()


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.jsonl.gz", "pool.parquet"])
def test_columns_that_begin_late_play_their_roles(name: str, tmp_path: Path) -> None:
    found = opened(
        written(tmp_path / name, rows(300, is_correct=False, answer="4", category="sums")), tmp_path / "cache"
    )
    assert flags(found) == [None] * 70 + [False] * 230
    assert found.pool.few(np.array([299], np.uint32), ["gold"])["gold"].to_list() == ["4"]
    assert found.pool.narrow(["category"])["category"].count() == 230
    assert found.notes == ()


def test_a_response_that_begins_late_is_not_the_gold_answer(tmp_path: Path) -> None:
    made = [row | {"answer": "47"} | ({"response": None} if n < 70 else {}) for n, row in enumerate(rows(300))]
    for name in ("pool.jsonl", "pool.parquet"):
        found = opened(written(tmp_path / name, made), tmp_path / "cache")
        assert (found.pool.rows, found.pool.bad_rows) == (230, 70)
        assert found.pool.few(np.zeros(1, np.uint32), ["trace"])["trace"].to_list() == ["\nWell, 70.\n"]


def test_a_large_file_is_looked_into_all_over(tmp_path: Path) -> None:
    made = [row | ({"is_correct": False} if n >= 6_000 else {}) for n, row in enumerate(rows(9_000))]
    assert flags(opened(written(tmp_path / "pool.jsonl", made), tmp_path / "cache")).count(False) == 3_000


def test_what_comes_too_late_is_told_and_can_be_named(tmp_path: Path) -> None:
    made = [row | ({"is_correct": False} if n >= 2_900 else {}) for n, row in enumerate(rows(3_000))]
    packed = written(tmp_path / "pool.jsonl.gz", made)
    found = opened(packed, tmp_path / "cache")
    assert set(flags(found)) == {None}
    assert found.notes == (
        "the column is_correct comes late in the pool, and says nothing here; to have it read as correct: "
        "--columns correct=is_correct",
    )
    assert opened(packed, tmp_path / "cache").notes == found.notes  # from the cache as well
    for file in (packed, written(tmp_path / "pool.jsonl", made)):
        named = opened(file, tmp_path / "cache", columns={"correct": "is_correct"})
        assert flags(named).count(False) == 100
        assert named.notes == ()
    with pytest.raises(UsageError, match="has no column is_right for correct"):
        opened(packed, tmp_path / "cache", columns={"correct": "is_right"})


def test_one_odd_value_changes_no_layout(tmp_path: Path) -> None:
    made: list[Row] = [{"problem": f"q{n}", "generations": [f"<think>{n}</think>{n}"]} for n in range(100)]
    odd: Row = {"problem": "q", "generations": "none"}
    found = opened(written(tmp_path / "pool.jsonl", [*made, odd]), tmp_path / "cache")
    assert "openr1" in found.pool.parts[0].layout
    assert found.pool.rows == 101


def test_of_all_files_the_same_columns_are_carried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pool").mkdir()
    for name, length in (("a.jsonl", 990), ("b.jsonl", 1_010)):
        beside = {"response": "r" * 2_000, "hint": "x" * length, "votes": [{"who": "a", "n": 1}]}
        written(tmp_path / "pool" / name, [row | beside for row in rows(9)])
    found = opened(tmp_path / "pool", tmp_path / "cache")
    assert found.pool.own_columns() == ["votes"]
    assert "not carried, for they are chats or texts: hint; --carry COLUMN,..." in capsys.readouterr().err
    named = opened(tmp_path / "pool", tmp_path / "cache", carry=("hint",))
    assert named.pool.narrow(["own:hint"])["own:hint"].null_count() == 0
    assert "not carried" not in capsys.readouterr().err


def test_chats_and_long_lists_are_not_carried(tmp_path: Path) -> None:
    long = [{"text": "x" * 3_000}]
    made = [row | {"talk": [{"role": "user", "content": "q"}], "long": long, "short": [{"n": 1}]} for row in rows(9)]
    assert opened(written(tmp_path / "pool.jsonl", made), tmp_path / "cache").pool.own_columns() == ["short"]


def test_splits_of_a_dataset_dict_have_any_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = {name: datasets.Dataset.from_list(rows(count)) for name, count in (("train_sft", 6), ("test_sft", 2))}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "both")
    with pytest.raises(PoolError, match="no split train; choose one of test_sft, train_sft with --split"):
        opened(tmp_path / "both", tmp_path / "cache")
    assert opened(tmp_path / "both", tmp_path / "cache", split="train_sft").pool.rows == 6
    assert "split: train_sft, 1 of 2 files" in capsys.readouterr().err
    datasets.DatasetDict({"all": parts["train_sft"]}).save_to_disk(tmp_path / "one")
    assert opened(tmp_path / "one", tmp_path / "cache").pool.rows == 6


def test_a_file_without_a_readable_row_says_what_is_wrong_with_the_first(tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_text('{\n "question": "q",\n "response": "r"\n}\n')
    with pytest.raises(UsageError, match=r"pool.jsonl has no readable row \(line 1: not valid JSON: .*\); give JSONL"):
        opened(tmp_path / "pool.jsonl", tmp_path / "cache")


def test_links_to_folders_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("pool", "elsewhere"):
        (tmp_path / name).mkdir()
    written(tmp_path / "pool" / "a.jsonl", rows(3))
    written(tmp_path / "elsewhere" / "b.jsonl", rows(2))
    (tmp_path / "pool" / "more").symlink_to(tmp_path / "elsewhere")
    assert opened(tmp_path / "pool", tmp_path / "cache").pool.rows == 3
    assert f"not followed: {tmp_path}/pool/more, a link to a folder; name it" in capsys.readouterr().err
    assert opened(tmp_path / "pool" / "more", tmp_path / "cache").pool.rows == 2


@pytest.mark.parametrize("late", ["conversations", "messages", "generations", "gold"])
def test_what_a_row_alone_has_changes_nothing(late: str, tmp_path: Path) -> None:
    made = [row | {"answer": "4"} for row in rows(900)]
    odd = [{"role": "user", "content": "q", "from": "human", "value": "q"}]
    made[500] |= {late: odd if late != "gold" else "7"}
    found = opened(written(tmp_path / "pool.jsonl", made), tmp_path / "cache")
    assert found.pool.parts[0].layout == "question-solution (question=question, response=response, gold=answer)"
    assert (found.pool.rows, found.notes) == (900, ())


def test_late_names_that_look_like_patterns_are_names(tmp_path: Path) -> None:
    made = [row | ({"^q.*$": [], "*": n} if n == 200 else {}) for n, row in enumerate(rows(300))]
    found = opened(written(tmp_path / "pool.jsonl", made), tmp_path / "cache")
    assert found.pool.rows == 300
    assert found.pool.own_columns() == ["^q.*$", "*"]


def test_a_late_name_is_found_however_it_is_spelt(tmp_path: Path) -> None:
    made = [row | ({"答案": "4"} if n == 2_999 else {}) for n, row in enumerate(rows(3_000))]
    for spelt in (True, False):
        text = "".join(json.dumps(row, ensure_ascii=spelt) + "\n" for row in made).encode()
        (tmp_path / "pool.jsonl.gz").write_bytes(gzip.compress(text))
        found = opened(tmp_path / "pool.jsonl.gz", tmp_path / "cache", columns={"gold": "答案"})
        assert found.pool.few(np.array([2_999], np.uint32), ["gold"])["gold"].to_list() == ["4"]


def test_scorers_are_woken_once_for_files_that_are_new(tmp_path: Path) -> None:
    woken: list[int] = []

    class Lengths:
        def score(self, batch: pl.DataFrame) -> pl.DataFrame:
            return batch.select(length=pl.col("question").str.len_chars())

        def close(self) -> None:
            pass

    def wake() -> None:
        woken.append(1)

    spec = ScorerSpec("l", "1", ("question",), {"length": pl.UInt32}, Lengths, light=True, wake=wake)
    pool = written(tmp_path / "pool.jsonl", rows(3))
    for _ in range(2):
        open_pool(PoolSettings((str(pool),), cache_dir=tmp_path / "cache"), [spec])
    assert woken == [1]
