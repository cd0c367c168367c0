"""Pools built whole or not at all, within their bounds, with every row either an example or set aside."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from select2reason import building
from select2reason.building import build
from select2reason.errors import PoolError, UsageError
from select2reason.layouts import detect
from select2reason.pool import Pool
from select2reason.readers import probe
from select2reason.text_shards import heights, text_file
from tests.reading import added_up, content, only, pool_of, response, texts

WriteRows = Callable[..., Path]
GOOD = {"question": "q", "response": "<think>t</think>a"}


def built(*paths: Path, out: Path, done: list[float] | None = None) -> Pool:
    files = [only(path) for path in paths]
    layouts = {file.label: detect(probe(file).frame) for file in files}
    return build(files, layouts, out, digest="d", progress=(done if done is not None else []).append)


# --- whole or not at all --------------------------------------------------------------------------------------------


def test_a_pool_of_several_files(tmp_path: Path, write_rows: WriteRows) -> None:
    first = write_rows([GOOD | {"id": i} for i in range(3)], "a.jsonl")
    second = write_rows([{"prompt": "p", "completion": "c", "id": "x"}, {"prompt": "p", "completion": None}], "b.jsonl")
    done: list[float] = []
    pool = built(first, second, out=tmp_path / "pool", done=done)
    assert (pool.rows, pool.digest, pool.shards, pool.text_bytes) == (4, "d", (4,), 3 * 18 + 2)
    assert [(part.rows, part.bad, part.examples) for part in pool.parts] == [(3, 0, 3), (2, 1, 1)]
    assert [(row["source"], row["source_row"], row["own:id"]) for row in content(pool)] == [
        (0, 0, "0"),
        (0, 1, "1"),
        (0, 2, "2"),
        (1, 0, "x"),
    ]
    assert done == sorted(done) and done[-1] == 1.0
    assert [path.name for path in tmp_path.glob("pool*")] == ["pool"]


def test_something_else_is_done_while_watchers_are_at_the_last_rows(tmp_path: Path, write_rows: WriteRows) -> None:
    happened: list[str] = []

    class Watching:
        def add(self, batch: pl.DataFrame) -> None:
            happened.append(f"{batch.height} rows")

        def finish(self, root: Path, shard: int) -> None:
            happened.append(f"shard {shard}")

        def drain(self) -> None:
            happened.append("drained")

    file = only(write_rows([GOOD] * 3))
    layouts, meanwhile = {file.label: detect(probe(file).frame)}, lambda: happened.append("meanwhile")
    out = tmp_path / "pool"
    build([file], layouts, out, digest="d", progress=lambda done: None, watchers=[Watching()], meanwhile=meanwhile)
    assert happened == ["3 rows", "shard 0", "meanwhile", "drained"]


def test_a_source_that_fails_leaves_nothing(tmp_path: Path, write_rows: WriteRows) -> None:
    good = write_rows([GOOD] * 3_000, "good.jsonl")
    pl.DataFrame([GOOD] * 5_000).with_row_index().write_parquet(tmp_path / "torn.parquet", row_group_size=500)
    whole = (tmp_path / "torn.parquet").read_bytes()
    middle = len(whole) // 2
    (tmp_path / "torn.parquet").write_bytes(whole[:middle] + bytes(2_000) + whole[middle + 2_000 :])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(PoolError, match=r"cannot read .*torn\.parquet"):
        built(good, tmp_path / "torn.parquet", out=tmp_path / "pool")
    assert sorted(tmp_path.iterdir()) == before


def test_what_a_killed_process_left_is_no_hindrance(tmp_path: Path, write_rows: WriteRows) -> None:
    left = tmp_path / f"pool.{platform.node()}.{os.getpid()}.0.part"
    left.mkdir()
    (left / "text-00000.arrow").write_text("half")
    assert built(write_rows([GOOD]), out=tmp_path / "pool").rows == 1
    assert not left.exists()


def test_a_pool_that_is_there_already_is_kept(tmp_path: Path, write_rows: WriteRows) -> None:
    built(write_rows([GOOD]), out=tmp_path / "pool")
    again = built(write_rows([GOOD] * 2, "other.jsonl"), out=tmp_path / "pool")
    assert again.rows == 1


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_groups_and_shards_keep_their_bounds_in_rows(
    tmp_path: Path, write_rows: WriteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_BATCH_ROWS", 4)
    monkeypatch.setattr(building, "_SHARD_ROWS", 10)
    rows = [{"question": f"q{i}", "response": "r"} for i in range(23)]
    pool = built(write_rows(rows), out=tmp_path / "pool")
    assert pool.shards == (10, 10, 3)
    assert groups(pool) == [[4, 4, 2], [4, 4, 2], [3]]
    assert [row[0] for row in texts(pool)] == [row["question"] for row in rows]


def test_groups_and_shards_keep_their_bounds_in_bytes(
    tmp_path: Path, write_rows: WriteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_BATCH_BYTES", 100)
    monkeypatch.setattr(building, "_SHARD_BYTES", 250)
    sizes = [10, 10, 90, 10, 500, 10, 10, 40, 40, 99, 1]  # of the response; a question adds 1
    pool = built(write_rows([{"question": "q", "response": "r" * size} for size in sizes]), out=tmp_path / "pool")
    assert groups(pool) == [[3, 2], [4, 2]]  # the row of 100 bytes is not left alone
    assert pool.narrow(["text_bytes"])["text_bytes"].to_list() == [size + 1 for size in sizes]


def test_what_rows_carry_bounds_a_shard_as_well(
    tmp_path: Path, write_rows: WriteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_SHARD_BYTES", 3_000)
    text = {"question": "q", "response": "r" * 400}
    rows = [text | dict.fromkeys(("a", "b", "c"), "n" * 300) | {"tags": [1, 2]} for _ in range(9)]
    assert groups(built(write_rows(rows), out=tmp_path / "pool")) == [[3], [3], [3]]
    nested = [text | {"tags": [sign * 300 for sign in "abc"]} for _ in range(9)]
    assert groups(built(write_rows(nested), out=tmp_path / "nested")) == [[3], [3], [3]]


def groups(pool: Pool) -> list[list[int]]:
    """The rows of every batch, by shard."""
    return [heights(text_file(pool.root, shard)) for shard in range(len(pool.shards))]


BUILD_ONE = """
import resource, sys
from pathlib import Path
from select2reason.opening import open_pool
from select2reason.settings import PoolSettings
open_pool(PoolSettings(pools=(sys.argv[1],), cache_dir=Path(sys.argv[2])))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pool = open_pool(PoolSettings(pools=(sys.argv[3],), cache_dir=Path(sys.argv[2]))).pool
print(pool.text_bytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in KiB on Linux alone")
def test_the_text_of_one_huge_row_is_held_some_times_at_most(tmp_path: Path, write_rows: WriteRows) -> None:
    small, huge = write_rows([GOOD], "small.jsonl"), tmp_path / "huge.jsonl"
    size = 60 << 20
    huge.write_bytes(orjson.dumps({"question": "q", "response": "So it goes.\n" * (size // 12)}))
    command = [sys.executable, "-c", BUILD_ONE, str(small), str(tmp_path / "cache"), str(huge)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    text_bytes, peak_kib = map(int, done.stdout.split())
    assert text_bytes == 1 + size
    assert peak_kib * 1024 < 12 * size


# --- rows that cannot be used ---------------------------------------------------------------------------------------


def test_bad_rows_are_set_aside_with_their_place(tmp_path: Path) -> None:
    lines = [
        orjson.dumps(GOOD),
        b"",
        b'{"question": "q", "resp',
        b'{"question": "\xff"}',
        b"[1]",
        orjson.dumps(GOOD | {"question": None}),
        orjson.dumps({"question": "q" * 300, "response": None}),
        orjson.dumps(GOOD),
    ]
    path = tmp_path / "pool.jsonl"
    path.write_bytes(b"\n".join(lines))
    pool = pool_of(path)
    (part,) = pool.parts
    assert (part.rows, part.bad, part.examples) == (7, 5, 2) and added_up(pool)
    aside = list(pool.quarantine())
    assert [(row["source_file"], row["source_row"], row["line"]) for row in aside] == [
        (str(path), row, row + 1) for row in (2, 3, 4, 5, 6)
    ]
    assert [str(row["reason"]).partition(":")[0].partition(" (")[0] for row in aside] == [
        *("not valid JSON", "not valid JSON", "not a JSON object but list", "no question", "no response")
    ]
    assert [row["head"] for row in aside] == [
        *('{"question": "q", "resp', '{"question": "\ufffd"}', "[1]", "<think>t</think>a"[7:8], "q" * 200)
    ]


def test_a_row_is_bad_where_none_of_its_generations_can_be_used(write_rows: WriteRows) -> None:
    given = [["a", None, "b"], [], None, [None, None], ["c"]]
    pool = pool_of(write_rows([{"problem": "q", "generations": texts} for texts in given]))
    (part,) = pool.parts
    assert (part.rows, part.bad, part.examples) == (5, 3, 3) and added_up(pool)
    aside = [(row["source_row"], row.get("generation")) for row in pool.quarantine()]
    assert aside == [(0, 1), (1, None), (2, None), (3, 0), (3, 1)]


def test_items_of_an_array_have_a_row_but_no_line(tmp_path: Path) -> None:
    path = tmp_path / "pool.json"
    path.write_text(json.dumps([GOOD, 7, GOOD], indent=2))
    (aside,) = pool_of(path).quarantine()
    assert (aside["source_row"], aside["head"], "line" in aside) == (1, "7", False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n \n",
        b"7",
        b"[]",
        b"{}",
        b'{\n"question": "q",\n"response": "r"\n}',
        b'{"question": ["q"], "response": ["r"]}',
        b'[{"question": "q", "response": "r"}',
        b'{"data": [{"question": "q"}]}',
        b"\xff\xfe{",
        b"question,response\nq,r\n",
    ],
)
def test_files_without_a_usable_row_are_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "pool.json"
    path.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        pool_of(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
TURNS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "?"]), "content": st.text(max_size=5) | VALUES}
    ),
    max_size=3,
)
NAMES = st.sampled_from(
    [
        *("question", "response", "generations", "messages", "trace", "answer", "correct", "correctness_llama"),
        *("is_complete", "own:", "*", "^a$", "row", "source"),
    ]
)
ROWS = st.dictionaries(NAMES | st.text(max_size=3), VALUES | TURNS, max_size=5) | st.fixed_dictionaries(
    {"question": st.text(max_size=5), "response": st.text(max_size=9)}, optional={"id": VALUES, "": VALUES}
)


@given(
    rows=st.lists(ROWS | VALUES, min_size=1, max_size=6),
    head=st.sampled_from(["", "response", "generations", "messages"]),
)
@example(rows=[{"generations": [{"": None, "\0": None}]}], head="response")
@example(rows=[{"question": [], "^a$": None}], head="")
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rows_are_read_or_set_aside(
    tmp_path: Path, rows: list[Any], head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}]
    first = {"response": GOOD, "generations": {"question": "q", "generations": ["r"]}, "messages": {"messages": turns}}
    put = [first[head], *rows] if head else rows
    path = tmp_path / "fuzzed.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in put))
    monkeypatch.setattr(building, "_SHARD_ROWS", 2)
    try:
        pool = pool_of(path)
    except UsageError as error:
        assert "\n" not in str(error)
        assert not head or "--columns" in str(error)
    else:
        assert added_up(pool)
        assert sum(part.rows for part in pool.parts) == len(put)


# --- what is put in comes out ---------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["<think>", "</think>", "\n\n", "十", "é", "\0", "\x1f", "\r\n", "◁think▷", "\u2028", "x" * 50]
)
TEXTS = st.lists(PIECES | st.text(max_size=6), min_size=1, max_size=6).map("".join)


@given(rows=st.lists(st.tuples(TEXTS, TEXTS, st.none() | TEXTS, st.integers() | st.none()), min_size=1, max_size=12))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_arrays_and_columns_give_the_same_pool(
    tmp_path: Path, rows: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_SHARD_ROWS", 5)
    monkeypatch.setattr(building, "_BATCH_ROWS", 2)
    put = [dict(zip(("question", "response", "gold", "id"), row, strict=True)) for row in rows]
    put[0]["question"] += "?"  # a pool of blank questions alone is refused
    put = [row | {"id": None if row["id"] is None else row["id"] % 2**60} for row in put]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(orjson.dumps(row) for row in put))
    (tmp_path / "a.json").write_text(json.dumps(put, indent=1, ensure_ascii=False), encoding="utf-8", newline="")
    types = {"question": pl.String, "response": pl.String, "gold": pl.String, "id": pl.Int64}
    frame = pl.DataFrame(put, schema=types)
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_ipc(tmp_path / "a.arrow")
    how = {"columns": {"question": "question", "response": "response", "gold": "gold"}}
    first, *others = [pool_of(tmp_path / f"a.{end}", **how) for end in ("jsonl", "json", "parquet", "arrow")]
    read = [(row["question"], response(row), row["gold"], row["own:id"]) for row in content(first)]
    assert read == [tuple(row.values()) for row in put if str(row["question"]).strip()]
    assert all(content(other) == content(first) for other in others)
    assert all(added_up(pool) for pool in (first, *others))


@pytest.mark.parametrize(("large", "packed"), [(1 << 30, False), (1, True)])
def test_large_pools_are_compressed(
    tmp_path: Path, write_rows: WriteRows, monkeypatch: pytest.MonkeyPatch, large: int, packed: bool
) -> None:
    monkeypatch.setattr(building, "_LARGE_BYTES", large)
    pool = built(write_rows([GOOD | {"question": f"q{n}" * 9_000} for n in range(5)]), out=tmp_path / "pool")
    assert ((pool.root / "text-00000.arrow").stat().st_size < pool.text_bytes / 2) == packed
    assert [row[0] for row in texts(pool)] == [f"q{n}" * 9_000 for n in range(5)]
