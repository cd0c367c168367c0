"""A scoring run that is killed again and again comes to the same scores, and scores no shard twice."""

from __future__ import annotations

import hashlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

pytest.importorskip("openai", reason="needs openai")

from tests.loopback import Loopback, Reply, listed, serving

KILLS = 10
QUESTIONS = 1_700  # four shards, the last one not full


def judging(path: str, body: Mapping[str, Any], number: int) -> Reply:
    """A judge whose d depends on the question alone."""
    if not path.endswith("/chat/completions"):
        return Reply({}, status=404)
    share = (1 + hashlib.sha256(body["messages"][-1]["content"].encode()).digest()[0]) / 258
    return Reply(listed({"1": math.log(share), " 1": -40.0, "0": math.log(1 - share), " 0": -40.0}))


def started(
    server: Loopback, table: Path, out: Path, cache: Path, *, stderr: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    code = "import sys; from select2reason.cli import main; sys.argv[0] = 'select2reason'; main()"
    options = ["--difficulty", "judge", "--model", "m", "--base-url", server.url, "--out", str(out), "--force"]
    command = [sys.executable, "-c", code, "difficulty", str(table), *options, "--cache-dir", str(cache)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env={**os.environ})


def shards(cache: Path) -> dict[str, tuple[int, int]]:
    """The finished score shards: name to inode and time, which change when one is written again."""
    found = cache.glob("questions/*/scores/*/*.parquet")
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    table = tmp_path / "questions.parquet"
    pl.DataFrame({"question": [f"question {n}" for n in range(QUESTIONS)], "id": range(QUESTIONS)}).write_parquet(table)
    rng = np.random.default_rng(0)
    with serving(judging) as server:
        assert started(server, table, tmp_path / "whole.parquet", tmp_path / "undisturbed").wait(120) == 0
        server.asked.clear()
        cache, done = tmp_path / "cache", dict[str, tuple[int, int]]()
        for _ in range(KILLS):
            asked, bound = len(server.asked), int(rng.integers(1, 1400))
            process = started(server, table, tmp_path / "killed.parquet", cache)
            while process.poll() is None and len(server.asked) < asked + bound:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            now = shards(cache)
            assert {name: now.get(name) for name in done} == done  # none is gone, none was written again
            done = now
        assert len(done) > 0
        assert started(server, table, tmp_path / "killed.parquet", cache).wait(120) == 0
        assert {name: shards(cache)[name] for name in done} == done
    whole, killed = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("whole", "killed"))
    assert killed.equals(whole)
    assert killed["difficulty"].null_count() == 0
    assert killed["id"].to_list() == list(range(QUESTIONS))
    assert len(shards(cache)) == math.ceil(QUESTIONS / 512)


def test_an_interrupted_run_ends_at_once_and_says_how_to_go_on(tmp_path: Path) -> None:
    def slow(path: str, body: Mapping[str, Any], number: int) -> Reply:
        return Reply(judging(path, body, number).body, wait_s=30.0 if number > 1 else 0.0)

    table = tmp_path / "questions.parquet"
    pl.DataFrame({"question": [f"question {n}" for n in range(40)]}).write_parquet(table)
    with serving(slow) as server:
        process = started(server, table, tmp_path / "out.parquet", tmp_path / "cache", stderr=subprocess.PIPE)
        while len(server.asked) < 2:
            time.sleep(0.01)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - begun < 10
    assert b"interrupted; run the same command again" in told
    assert b"Traceback" not in told
