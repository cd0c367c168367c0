"""Reading JSON, Parquet and Arrow in batches: every row's place, damaged rows and damaged files."""

from __future__ import annotations

import gzip
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from select2reason import readers
from select2reason.errors import PoolError
from select2reason.frames import from_arrow
from select2reason.readers import column_names, has_lines, probe, read
from tests.reading import only, read_all

GOOD = b'{"question": "q", "response": "r"}'


def put(folder: Path, data: bytes, name: str = "pool.jsonl") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for batch in read_all(path)[0] for row in batch.frame.to_dicts()]


# --- JSON -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_blank_lines_and_line_ends_do_not_shift_places(tmp_path: Path, ending: bytes) -> None:
    path = put(tmp_path, b"\xef\xbb\xbf" + ending.join([GOOD, b"", b" ", GOOD, b"[1]", GOOD]))
    (batch,), bad = read_all(path)
    assert batch.rows.tolist() == [0, 3, 5]
    assert [row.source_row for row in bad] == [4]


BAD_LINES = {
    b'{"question": "q", "resp': "not valid JSON",
    b'{"question": "\xff\xfe"}': "not valid JSON",
    b'{"question": "\\ud800"}': "not valid JSON",
    b'{"question": NaN, "response": "\\ud800"}': "not valid JSON",
    b'{"question": "NaN", "n": nan}': "not valid JSON",
    b"NaN": "not valid JSON",
    b'{"question": "a\0b"}': "not valid JSON",
    b'{"question": ' + b"[" * 10_000 + b"]" * 10_000 + b"}": "not valid JSON",
    b'{"question": 1' + b"0" * 400 + b"}": "not valid JSON",
    b"[1, 2]": "not a JSON object but list",
    b"7": "not a JSON object but int",
    b"null": "not a JSON object but NoneType",
    b'"text"': "not a JSON object but str",
    b"{}": "an empty object",
}


@pytest.mark.parametrize("line", BAD_LINES, ids=[line[:20].decode("latin-1") for line in BAD_LINES])
@pytest.mark.parametrize("array", [False, True], ids=["line", "item"])
def test_a_bad_record_is_told_and_the_reading_goes_on(tmp_path: Path, line: bytes, array: bool) -> None:
    if array and line.endswith(b'"resp'):
        pytest.skip("within an array an open string swallows what follows; see test_json_records")
    data = b"[" + b",\n".join([GOOD, line, GOOD]) + b"]" if array else b"\n".join([GOOD, line, GOOD])
    (batch,), (bad,) = read_all(put(tmp_path, data, "pool.json"))
    assert batch.rows.tolist() == [0, 2]
    assert bad.source_row == 1
    assert bad.reason.startswith(BAD_LINES[line])
    assert bad.head == line.decode("utf-8", "replace")[:200]


def test_numbers_keys_and_characters_come_through_as_they_are(tmp_path: Path) -> None:
    line = b'{"": 1, "own:x": 2, "row": 1.5, "__index__": 123456789012345678901, "a": 1, "a": 2, "nul": "\\u0000"}'
    assert rows_of(put(tmp_path, line)) == [
        {"": 1, "own:x": 2, "row": 1.5, "__index__": "123456789012345678901", "a": 2, "nul": "\0"}
    ]


def test_what_python_writes_for_a_missing_number_is_null(tmp_path: Path) -> None:
    given = {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": -math.inf}, "e": "NaN"}
    assert rows_of(put(tmp_path, json.dumps(given).encode())) == [
        {"a": None, "b": [None, 1.5], "c": {"d": None}, "e": "NaN"}
    ]


def test_columns_may_come_late_and_change_their_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, Any]] = [{"a": 1}, {"a": 2}, {"a": "x", "b": [1]}, {"b": None}]
    path = put(tmp_path, b"\n".join(json.dumps(row).encode() for row in rows))
    assert rows_of(path) == [{"a": "1", "b": None}, {"a": "2", "b": None}, {"a": "x", "b": [1]}, {"a": None, "b": None}]
    assert probe(only(path), rows=2).frame.to_dicts() == [
        {"a": 1, "b": None},
        {"a": 2, "b": None},
        {"a": None, "b": [1]},
    ]
    monkeypatch.setattr(readers, "_BATCH_BYTES", 1)  # the fewest rows a batch
    assert [batch.rows.tolist() for batch in read_all(path)[0]] == [[0, 1], [2, 3]]
    assert probe(only(path)).frame.to_dicts() == rows_of(path) or probe(only(path)).frame.columns == ["a", "b"]


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
def test_packed_files(tmp_path: Path, pack: Any) -> None:
    data = b"\n".join([GOOD] * 3_000)
    for name in ("pool.jsonl.gz", "pool.json.zst"):  # the content counts, not the name
        path = put(tmp_path, pack(data), name)
        assert len(rows_of(path)) == 3_000
        assert has_lines(only(path))
        put(tmp_path, pack(os.urandom(100_000).hex().encode())[:30_000], name)
        with pytest.raises(PoolError, match=rf"cannot read {path}: .*; fetch or write it again$"):
            read_all(path)


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    assert len(rows_of(put(tmp_path, 2 * gzip.compress(GOOD + b"\n"), "pool.jsonl.gz"))) == 2


@pytest.mark.parametrize(
    ("data", "lines"), [(GOOD, True), (b"[" + GOOD + b"]", False), (b"[1]\n" + GOOD, True), (b"\n[\n", False)]
)
def test_only_rows_of_lines_have_line_numbers(tmp_path: Path, data: bytes, lines: bool) -> None:
    assert has_lines(only(put(tmp_path, data))) is lines


def test_batches_are_bounded_and_say_how_far_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "_BATCH_BYTES", 10 * len(GOOD))
    batches, _ = read_all(put(tmp_path, b"\n".join([GOOD] * 25)))
    assert [len(batch.rows) for batch in batches] == [10, 10, 5]
    assert batches[-1].done == 1.0
    monkeypatch.setattr(readers, "_BATCH_BYTES", 8 << 20)
    sizes = [len(batch.rows) for batch in read(only(tmp_path / "pool.jsonl"), on_bad=print, batch_rows=7)]
    assert sizes == [7, 7, 7, 4]


# --- Parquet and Arrow ----------------------------------------------------------------------------------------------

FRAME = pl.DataFrame({"question": [f"q{i}" for i in range(10)], "n": range(10), "tags": [["x"]] * 10})


def write(frame: pl.DataFrame, path: Path) -> Path:
    writers = {
        ".parquet": lambda: frame.write_parquet(path, row_group_size=4),
        ".arrow": lambda: frame.write_ipc(path, compression="zstd"),
        ".stream.arrow": lambda: frame.write_ipc_stream(path),
    }
    writers["".join(path.suffixes)]()
    return path


ENDINGS = pytest.mark.parametrize("ending", [".parquet", ".arrow", ".stream.arrow"])


@ENDINGS
def test_columns_are_narrowed_and_rows_numbered(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = only(write(FRAME, tmp_path / f"pool{ending}"))
    assert column_names(source) == ["question", "n", "tags"]
    assert not has_lines(source)
    batches = list(read(source, on_bad=print, columns=["n"], batch_rows=3))
    assert pl.concat([batch.frame for batch in batches]).equals(FRAME.select("n"))
    assert [row for batch in batches for row in batch.rows.tolist()] == list(range(10))
    assert 0.9 < batches[-1].done <= 1.0
    monkeypatch.setattr(readers, "_BATCH_BYTES", 1)
    assert {len(batch.rows) for batch in read(source, on_bad=print)} == {2}


@ENDINGS
def test_no_rows_and_no_batches(tmp_path: Path, ending: str) -> None:
    source = only(write(FRAME.clear(), tmp_path / f"pool{ending}"))
    assert list(read(source, on_bad=print)) == []
    assert probe(source).frame.is_empty()
    assert column_names(source) == ["question", "n", "tags"]


def invalid(kind: pa.DataType) -> pa.Array:
    """Three texts, the second of which is no UTF-8."""
    given = [b"one", b"\xff\xfe two", b"three, long enough to stand outside of a view"]
    if kind == pa.string_view():
        return pa.array(given, pa.binary_view()).view(kind)
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), invalid(pa.string()))
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), invalid(pa.string()))
    binary = pa.large_binary() if kind == pa.large_string() else pa.binary()
    return pa.array(given, binary).view(kind)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.string())],
    ids=str,
)
def test_text_that_is_no_utf8_costs_its_row_alone(tmp_path: Path, ending: str, kind: pa.DataType) -> None:
    table = pa.table({"n": [1, 2, 3], "text": invalid(kind)})
    path = tmp_path / f"pool.{ending}"
    if ending == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    (batch,), (bad,) = read_all(path)
    assert batch.rows.tolist() == [0, 2]
    assert batch.frame["n"].to_list() == [1, 3]
    assert (bad.source_row, bad.head) == (1, "\ufffd\ufffd two")
    assert bad.reason == "not valid UTF-8: invalid start byte at byte 0"


# --- files that cannot be read as a whole ---------------------------------------------------------------------------


def test_damaged_files_are_named_with_the_fix(tmp_path: Path) -> None:
    whole = write(FRAME, tmp_path / "whole.parquet").read_bytes()
    arrow = write(FRAME, tmp_path / "whole.arrow").read_bytes()
    stream = write(FRAME, tmp_path / "whole.stream.arrow").read_bytes()
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    put(tmp_path, whole[: len(whole) // 2], "cut.parquet")
    put(tmp_path, whole[:200] + bytes(100) + whole[300:], "hole.parquet")
    put(tmp_path, GOOD, "text.parquet")
    put(tmp_path, GOOD * 20, "text.arrow")
    put(tmp_path, arrow[: len(arrow) // 2], "cut.arrow")
    put(tmp_path, stream[: len(stream) // 2], "cut.stream.arrow")
    put(tmp_path, b"PK", "tiny.arrow")
    names = ["twice.parquet", "cut.parquet", "hole.parquet", "text.parquet", "text.arrow", "cut.arrow"]
    for name in [*names, "cut.stream.arrow", "tiny.arrow"]:
        with pytest.raises(PoolError) as refused:
            read_all(tmp_path / name)
        assert str(refused.value).startswith(f"cannot read {tmp_path / name}: "), name
        assert str(refused.value).endswith("; fetch or write it again")
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.parquet", "pool.arrow"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(PoolError, match=rf"{name} is empty; give a file with rows"):
        read_all(put(tmp_path, b"", name))


def test_white_space_alone_has_no_rows(tmp_path: Path) -> None:
    assert read_all(put(tmp_path, b"\n \r\n\t\n")) == ([], [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = put(tmp_path, GOOD)
    path.chmod(0)
    with pytest.raises(PoolError, match="no permission to read"):
        read_all(path)


READ_ONE = """
import resource, sys
from select2reason import readers
from select2reason.sources import find_files
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = [batch.rows.tolist() for batch in readers.read(find_files(sys.argv[1])[0], on_bad=print)]
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, sep=";")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in KiB on Linux alone")
@pytest.mark.parametrize("array", [False, True], ids=["line", "item"])
def test_a_huge_row_is_held_a_few_times_at_most(tmp_path: Path, array: bool) -> None:
    """With 200 MB in the row the multiples are the same: 3 for a line, 4 for an array's item."""
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.write(b"[" * array + b'{"question": "q", "response": "')
        file.writelines([b"So it goes on, again and again and again and again, on and on.\\n" * (1 << 14)] * 60)
        file.write(b'"}' + b"]" * array + b"\n")
    done = subprocess.run([sys.executable, "-c", READ_ONE, path], capture_output=True, text=True, check=True)
    rows, peak_kib = done.stdout.split(";")
    assert rows == "[[0]]"
    assert int(peak_kib) * 1024 < 5 * path.stat().st_size


def test_texts_in_a_dictionary_come_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [f"answer {number}" for number in range(300)]
    table = pa.table({"question": ["q"] * 300, "response": pa.array(said).dictionary_encode()})
    pq.write_table(table, tmp_path / "pool.parquet")
    sizes: list[int] = []

    def seen(name: str, array: pa.Array) -> pl.Series:
        sizes.append(array.nbytes)
        return from_arrow(name, array)

    monkeypatch.setattr(readers, "from_arrow", seen)
    monkeypatch.setattr(readers, "_BATCH_BYTES", 100)  # a few rows a batch
    assert [row["response"] for row in rows_of(tmp_path / "pool.parquet")] == said
    assert len(sizes) > 60 and max(sizes) < 300  # the whole dictionary takes ten times that


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_class_labels_are_read_as_their_names(ending: str, tmp_path: Path) -> None:
    kinds = {"_type": "ClassLabel", "names": ["algebra", "geometry"]}
    told = json.dumps({"info": {"features": {"kind": kinds, "text": {"_type": "Value"}, "gone": kinds}}}).encode()
    table = pa.table({"kind": pa.array([1, 0, -1, None, 2], pa.int64()), "text": [*"abcde"]})
    file = tmp_path / f"pool.{ending}"
    for metadata in ({b"huggingface": told}, {b"huggingface": b"[}"}, {b"huggingface": b'{"info": null}'}):
        pool = table.replace_schema_metadata(metadata)
        if ending == "parquet":
            pq.write_table(pool, file)
        else:
            with pa.ipc.new_stream(str(file), pool.schema) as writer:
                writer.write_table(pool)
        (batch,) = read(only(file), on_bad=lambda row: None)
        named = ["geometry", "algebra", None, None, None] if metadata[b"huggingface"] is told else [1, 0, -1, None, 2]
        assert batch.frame["kind"].to_list() == named
        assert batch.frame["text"].to_list() == [*"abcde"]
