"""SIGKILL at any moment of the work: run again, a command comes to what it would have come to, and loses one shard.

Every kill that counts hit a process that had begun to work and had not ended; what it had finished must stand
untouched in the end, inode and time.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openai", reason="needs openai")

from ..loopback import Loopback, serving
from .commands import (
    Command,
    answering,
    contents,
    finished,
    in_folder,
    judging,
    kill,
    unfinished,
    wait_until,
    write_pool,
)
from .conftest import Tell

Often = Callable[[int, int], int]
IN_A_ROW = 3  # kills before a run is left in peace
SHARD = 512  # questions in one shard of a judge


def rounds(kills: int) -> Iterator[int]:
    """Kills in a row, until there are so many."""
    while kills > 0:
        yield min(IN_A_ROW, kills)
        kills -= IN_A_ROW


# --- select ---------------------------------------------------------------------------------------------------------


def begun(folder: Path) -> Callable[[], bool]:
    """Whether a pool is being read in this folder, or was, and the selection is not there yet."""
    return lambda: any((folder / "cache").glob("pools/*"))


def test_select(tmp_path: Path, often: Often, tell: Tell) -> None:
    write_pool(tmp_path / "pool.jsonl", often(1_000, 9_000))
    words = ("select", "../pool.jsonl", "--out", "out")
    calm = in_folder(tmp_path / "calm", *words)
    process = calm.start()
    assert wait_until(begun(calm.folder), process)
    since = time.monotonic()
    assert process.wait() == 0
    span, wanted = time.monotonic() - since, often(2, 15)
    rng, kills, number = np.random.default_rng(0), 0, 0
    while kills < wanted:
        killed = in_folder(tmp_path / f"killed{(number := number + 1)}", *words)
        kept: dict[str, tuple[int, int]] = {}
        for _ in range(min(IN_A_ROW, wanted - kills)):
            kills += _killed_in_time(killed, float(rng.uniform(0, span)))
            now = finished(killed.folder / "cache")
            assert {name: now.get(name) for name in kept} == kept
            kept = now
        if not killed.out.exists():
            killed.run()
        now = finished(killed.folder / "cache")
        assert {name: now.get(name) for name in kept} == kept  # nothing that was finished was made again
        assert contents(killed.out) == contents(calm.out)
        caches = [contents(one.folder / "cache", but=("files.json",)) for one in (killed, calm)]
        assert caches[0] == caches[1]
        assert unfinished(killed.folder) == []
    tell("kills of select", tried=kills, lost=0, runs=number, span_s=round(span, 1))


def _killed_in_time(command: Command, after_s: float) -> bool:
    """Kill so long after it began to work; whether it was at it still."""
    process = command.start()
    if not wait_until(begun(command.folder), process):
        return False
    time.sleep(after_s)
    at_work = not command.out.exists()
    return kill(process) and at_work


# --- score by a judge -----------------------------------------------------------------------------------------------


def test_score(tmp_path: Path, often: Often, tell: Tell) -> None:
    questions = often(600, 2_500)
    write_pool(tmp_path / "pool.jsonl", questions)
    rng, kills, twice = np.random.default_rng(1), 0, 0
    with serving(judging) as server:
        words = ("score", "../pool.jsonl", "--difficulty", "judge", "--model", "m", "--base-url", server.url)
        calm = in_folder(tmp_path / "calm", *words)
        calm.run()
        once = len(server.asked)
        for number, row in enumerate(rounds(often(1, 12))):
            killed, kept = in_folder(tmp_path / f"killed{number}", *words), dict[str, tuple[int, int]]()
            server.asked.clear()
            for _ in range(row):
                left = once - SHARD * sum("questions/" in name and "/scores/" in name for name in kept)
                assert _killed_after(killed, server, int(rng.integers(1, left)))
                now = finished(killed.folder / "cache")
                assert {name: now.get(name) for name in kept} == kept
                kept, kills = now, kills + 1
            before, done = len(server.asked), sum("questions/" in name and "/scores/" in name for name in kept)
            killed.run()
            assert len(server.asked) - before == once - SHARD * done  # what was finished is not asked again
            twice = max(twice, math.ceil((len(server.asked) - once - row) / row))
            assert len(server.asked) <= once + row * (SHARD + 1)  # a shard a kill, and how the server judges
            now = finished(killed.folder / "cache")
            assert {name: now.get(name) for name in kept} == kept
            caches = [contents(one.folder / "cache", but=("files.json",)) for one in (killed, calm)]
            assert caches[0] == caches[1]
            assert unfinished(killed.folder) == []
    tell("kills of score", tried=kills, lost=0, asked_once=once, asked_again_a_kill=twice)


def _killed_after(command: Command, server: Loopback, requests: int) -> bool:
    """Kill when the server was asked so often; whether the command was at work still."""
    before = len(server.asked)
    process = command.start()
    return wait_until(lambda: len(server.asked) >= before + requests, process) & kill(process)


# --- rollout and evaluate -------------------------------------------------------------------------------------------

ANSWERS = 4  # to each question
AT_ONCE = 8  # requests to the server


def write_questions(file: Path, rows: int) -> Path:
    lines = [json.dumps({"question": f"How much is {n} + 0, that is {n}", "answer": str(n)}) for n in range(rows)]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize("name", ["rollout", "evaluate"])
def test_answers(name: str, tmp_path: Path, often: Often, tell: Tell) -> None:
    questions = often(40, 150)
    write_questions(tmp_path / "bench.jsonl", questions)
    rng, kills, twice = np.random.default_rng(2), 0, 0
    table = ("rollout", "../bench.jsonl") if name == "rollout" else ("evaluate", "--benchmarks", "../bench.jsonl")
    with serving(answering) as server:
        how = ("-n", ANSWERS, "--temperature", "0.6", "--max-tokens", 100, "--concurrency", AT_ONCE)
        words = (*table, "--model", "m", "--base-url", server.url, *how, "--out", "out")
        calm = in_folder(tmp_path / "calm", *words)
        calm.run()
        assert len(server.asked) == questions * ANSWERS
        for number, row in enumerate(rounds(often(1, 12))):
            killed = in_folder(tmp_path / f"killed{number}", *words)
            server.asked.clear()
            kept = b""
            for _ in range(row):
                missing = questions * ANSWERS - kept.count(b"\n")
                if missing:
                    assert _killed_after(killed, server, int(rng.integers(1, missing + 1)))
                    kills += 1
                now = whole_lines(killed.out)
                assert now.startswith(kept)
                kept = now
            before = _arrived(server)
            killed.run()
            assert len(server.asked) - before == questions * ANSWERS - kept.count(b"\n")  # none that is kept
            assert len(server.asked) <= questions * ANSWERS + row * (AT_ONCE + 2) * ANSWERS
            twice = max(twice, math.ceil((len(server.asked) - questions * ANSWERS) / row))
            assert whole_lines(killed.out).startswith(kept)
            assert comparable(killed.out) == comparable(calm.out)
            assert unfinished(killed.folder) == []
    tell(f"kills of {name}", tried=kills, lost=0, answers=questions * ANSWERS, drawn_again_a_kill=twice)


def _arrived(server: Loopback) -> int:
    """How often it was asked, once what a killed process had sent has arrived as well."""
    arrived = -1
    while arrived != len(server.asked):
        arrived = len(server.asked)
        time.sleep(0.5)
    return arrived


def whole_lines(out: Path) -> bytes:
    """The kept answers; a line that the kill tore is none."""
    files = [*out.glob("completions.jsonl"), *out.glob("*/samples.jsonl")]
    return b"".join(
        line for file in files for line in file.read_bytes().splitlines(keepends=True) if line[-1:] == b"\n"
    )


def comparable(out: Path) -> dict[str, object]:
    """All of it byte for byte, but for the order in which answers came, and how many of them the last run drew."""
    found: dict[str, object] = {**contents(out, but=("completions.jsonl", "samples.jsonl", "results.json"))}
    found["answers"] = sorted(whole_lines(out).splitlines())
    if (out / "results.json").exists():
        found["results"] = {k: v for k, v in json.loads((out / "results.json").read_text()).items() if k != "drawn"}
    return found
