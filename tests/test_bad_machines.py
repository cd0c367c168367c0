"""What machines lack and folders are called: no streams, no home, names that are patterns or no text."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import polars as pl
import pytest

from select2reason import export
from select2reason.chosen import open_chosen
from select2reason.demo import make_demo_pool
from select2reason.errors import OutputError
from select2reason.pipeline import demo
from select2reason.view import explore
from tests.conftest import WriteRows
from tests.runs import every_reason, question_row


def command(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "select2reason", *map(str, args), "--difficulty", "column:pass_rate"]


def test_a_signal_ends_a_run_whose_output_is_closed(tmp_path: Path) -> None:
    pool = tmp_path / "slow.jsonl"
    row = question_row(0, length=150)
    with pool.open("wb") as lines:
        for n in range(60_000):
            lines.write(orjson.dumps(row | {"problem": f"What is {n}?"}) + b"\n")
    closed = ["bash", "-c", 'exec "$@" >&-', "bash", *command("select", pool, "--out", tmp_path / "out")]
    with subprocess.Popen(closed, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        running.stderr.readline()  # work has begun
        running.send_signal(signal.SIGTERM)
        _, told = running.communicate(timeout=30)
    assert running.returncode == 130, told
    assert "run the same command again" in told and "Traceback" not in told


def test_a_terminal_of_no_width_shows_what_is_said(tmp_path: Path) -> None:
    done = subprocess.run(
        command("select", tmp_path / "missing.jsonl", "--out", tmp_path / "out"),
        env={**os.environ, "COLUMNS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "error: no such file" in done.stderr


@pytest.mark.parametrize(("mine", "other"), [("v[1]", "v1"), ("v*", "v2"), ("v?", "v3")])
def test_folders_may_be_called_like_patterns(mine: str, other: str, write_rows: WriteRows, tmp_path: Path) -> None:
    pools = every_reason(write_rows), tmp_path / "few.jsonl"
    pools[1].write_bytes(b"".join(orjson.dumps(question_row(n, length=n + 1)) + b"\n" for n in range(3)))
    for name, pool in ((other, pools[0]), (mine, pools[1])):
        paths = "--out", tmp_path / name, "--cache-dir", tmp_path / f"cache-{name}"
        done = subprocess.run(
            command("select", pool, *paths, "--rows", "2"), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert pl.read_parquet(tmp_path / mine / "scores.parquet", glob=False).height == 3
    assert open_chosen(tmp_path / mine).rows == 2
    assert explore(tmp_path / mine, tmp_path / f"cache-{mine}").pool.rows == 3


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("~nobody-known/x", "it is not known where the home folder is"),
        (b"out\xff", "a path that is named is no UTF-8 ("),
        ("loop", "; choose another"),
    ],
)
def test_folders_that_cannot_be(out: str | bytes, told: str, write_rows: WriteRows, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    args = [*map(os.fsencode, command("select", every_reason(write_rows))), b"--out", os.fsencode(out)]
    done = subprocess.run(args, capture_output=True, cwd=tmp_path, check=False)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr.decode() and b"Traceback" not in done.stderr


def test_a_mount_point_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path)
    with pytest.raises(
        OutputError, match="is a mount point, which cannot be replaced as a whole; choose a folder in it"
    ):
        export.check_out(tmp_path, force=True, kind="selection")
    export.check_out(tmp_path / "out", force=True, kind="selection")


def test_a_demo_goes_on_with_its_own_pool_and_with_no_other(tmp_path: Path) -> None:
    make_demo_pool(tmp_path / "pool.jsonl")
    assert demo(tmp_path).selected
    with pytest.raises(OutputError, match="selection exists; choose another --out, or replace it with --force"):
        demo(tmp_path)
    assert demo(tmp_path, force=True).selected
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pool.jsonl").write_text("{}")
    with pytest.raises(OutputError, match=r"pool\.jsonl exists; choose another --out"):
        demo(tmp_path / "other", force=True)
    assert (tmp_path / "other" / "pool.jsonl").read_text() == "{}"


def test_a_current_folder_that_is_gone_is_told(write_rows: WriteRows, tmp_path: Path) -> None:
    (gone := tmp_path / "gone").mkdir()
    leaving = ["bash", "-c", f'cd "{gone}" && rmdir "{gone}" && exec "$@"', "bash"]
    done = subprocess.run(
        [*leaving, *command("select", every_reason(write_rows), "--out", "x")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "error: the current folder is gone; change to one that is there" in done.stderr
