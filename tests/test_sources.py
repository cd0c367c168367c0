"""Finding the files that a pool's name stands for."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from select2reason.errors import PoolError
from select2reason.sources import SourceFile, find_files, kind_of, split_names
from tests.reading import pool_of
from tests.reading import texts as texts_of

ROW = b'{"question": "q", "response": "r"}\n'


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ROW)


def found(pool: Path | str, folder: Path, split: str | None = None) -> list[str]:
    return [file.path.relative_to(folder).as_posix() for file in find_files(str(pool), split=split)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jsonl", "jsonl"),
        ("a.json", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("A.JSONL", "jsonl"),
        ("a.jsonl.gz", "jsonl"),
        ("a.jsonl.GZ", "jsonl"),
        ("a.json.zst", "jsonl"),
        ("a.v1.parquet", "parquet"),
        ("a.arrow", "arrow"),
        ("a.csv", None),
        ("a.gz", None),
        ("a", None),
    ],
)
def test_a_name_tells_the_kind(name: str, kind: str | None) -> None:
    assert kind_of(Path(name)) == kind


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("data/train-00000-of-00002.parquet", {"train"}),
        ("train/data-00000-of-00001.arrow", {"train"}),
        ("test.jsonl", {"test"}),
        ("default/validation/0000.parquet", {"validation"}),
        ("training.jsonl", set()),
        ("data/train_old.jsonl", set()),
    ],
)
def test_a_path_tells_the_split(path: str, names: set[str]) -> None:
    assert split_names(Path(path)) == names


def test_one_file_is_labelled_as_its_user_named_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "pool.jsonl")
    monkeypatch.chdir(tmp_path)
    assert find_files("pool.jsonl") == [SourceFile(Path("pool.jsonl"), "pool.jsonl", "jsonl")]


def test_a_folder_gives_its_training_files_in_order(tmp_path: Path) -> None:
    put(tmp_path, "data/train-00001-of-00002.parquet", "data/train-00000-of-00002.parquet")
    put(tmp_path, "data/test-00000-of-00001.parquet", "README.md", "dataset_infos.json", "extra.jsonl")
    assert found(tmp_path, tmp_path) == ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
    assert found(tmp_path, tmp_path, "test") == ["data/test-00000-of-00001.parquet"]
    with pytest.raises(PoolError, match=r"has no split dev; --split can be test, train$"):
        find_files(str(tmp_path), split="dev")


def test_a_folder_leaves_out_what_is_no_data(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", ".hidden/b.jsonl", "cache-123.arrow", "state.json", "scores.parquet", "quarantine.jsonl")
    assert found(tmp_path, tmp_path) == ["a.jsonl"]
    with pytest.raises(PoolError, match="has no split test; its files name no split, so leave it out"):
        find_files(str(tmp_path), split="test")


def test_a_folder_of_several_kinds_gives_one_kind(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", "b.parquet", "c.arrow")
    assert found(tmp_path, tmp_path) == ["b.parquet"]


def test_a_folder_without_data_says_what_to_give(tmp_path: Path) -> None:
    put(tmp_path, "README.md")
    with pytest.raises(PoolError, match=r"holds no JSONL, JSON, Parquet or Arrow file; give a folder that does$"):
        find_files(str(tmp_path))


def test_a_glob_takes_what_may_be_data(tmp_path: Path) -> None:
    put(tmp_path, "a/2.jsonl", "a/1.jsonl", "b/3.jsonl", "a/README.md", "a/state.json", "a/part-00000")
    (tmp_path / "folder.jsonl").mkdir()
    assert found(f"{tmp_path}/a/*", tmp_path) == ["a/1.jsonl", "a/2.jsonl", "a/part-00000"]
    assert found(f"{tmp_path}/**/*.jsonl", tmp_path) == ["a/1.jsonl", "a/2.jsonl", "b/3.jsonl"]
    with pytest.raises(PoolError, match="no such file, folder or glob: "):
        find_files(f"{tmp_path}/*.parquet")


def test_brackets_in_a_name_are_no_glob(tmp_path: Path) -> None:
    put(tmp_path, "pool[1].jsonl", "pool1.jsonl")
    assert found(tmp_path / "pool[1].jsonl", tmp_path) == ["pool[1].jsonl"]


def test_a_slip_is_answered_with_the_near_name(tmp_path: Path) -> None:
    put(tmp_path, "openr1.jsonl")
    with pytest.raises(PoolError, match=rf"did you mean {tmp_path}/openr1\.jsonl\?$"):
        find_files(f"{tmp_path}/opnr1.jsonl")


@pytest.mark.parametrize("name", ["", " ", "a" * 5_000, "~no-such-user-here/pool.jsonl", "nul\0.jsonl"])
def test_names_that_cannot_be_files_are_the_users_to_mend(name: str) -> None:
    with pytest.raises(PoolError) as refused:
        find_files(name)
    assert "\n" not in str(refused.value)


def test_files_without_extension_show_what_they_are(tmp_path: Path) -> None:
    frame = pl.DataFrame({"question": ["q"], "response": ["<think>t</think>a"]})
    frame.write_parquet(tmp_path / "columns")
    frame.write_ipc(tmp_path / "arrows")
    frame.write_ipc_stream(tmp_path / "stream")
    frame.write_ndjson(tmp_path / "lines")
    (tmp_path / "array").write_text(json.dumps(frame.to_dicts(), indent=2), encoding="utf-8-sig")
    (tmp_path / "packed").write_bytes(gzip.compress((tmp_path / "lines").read_bytes()))
    (tmp_path / "packed.txt").write_bytes(pa.compress((tmp_path / "lines").read_bytes(), "zstd", asbytes=True))
    kinds = {name: find_files(str(tmp_path / name))[0].kind for name in ("columns", "arrows", "stream", "lines")}
    assert kinds == {"columns": "parquet", "arrows": "arrow", "stream": "arrow", "lines": "jsonl"}
    for path in [path for path in tmp_path.iterdir() if path.is_file()]:
        assert texts_of(pool_of(path)) == [("q", "<think>", "t", "</think>a")], path.name


def test_any_other_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("question,response\n")
    with pytest.raises(PoolError, match=r"pool\.csv is no JSONL, JSON, Parquet or Arrow file; give one of these"):
        find_files(str(tmp_path / "pool.csv"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    put(tmp_path, "pool", "folder/a.jsonl")
    for path in (tmp_path / "pool", tmp_path / "folder"):
        path.chmod(0)
        with pytest.raises(PoolError, match="no permission"):
            find_files(str(path))
        path.chmod(0o700)


def test_of_a_file_no_split_is_taken_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.jsonl").touch()
    for pool in ("train.jsonl", "*.jsonl"):
        assert found(tmp_path / pool, tmp_path, "test") == ["train.jsonl"]
        assert f"--split is for folders and the Hub: {tmp_path / pool} is read whole" in capsys.readouterr().err
