"""Two of the same command at the same time: both right, or the second refused in one line; nothing is torn."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai", reason="needs openai")

from ..loopback import Reply, serving
from ..tiny_chat_model import make_chat_model
from .commands import (
    PATIENCE_S,
    Command,
    answering,
    contents,
    in_folder,
    judging,
    unfinished,
    wait_until,
    write_pool,
)
from .conftest import Tell
from .test_kills import comparable, write_questions

Often = Callable[[int, int], int]
NAMED = ("manifest.json", "README.md", "report.html")  # they name the command, and so where it wrote


def codes(*running: subprocess.Popen[bytes]) -> list[int]:
    return [process.wait(PATIENCE_S) for process in running]


def beside(first: Command, said: str, *words: object) -> Command:
    """Another command in the same folder."""
    return _Other(first.folder, [str(word) for word in words] or first.words, first.env, name=said)


class _Other(Command):
    """A command that speaks into a file of its own."""

    def __init__(self, folder: Path, words: list[str], env: Mapping[str, str], *, name: str) -> None:
        super().__init__(folder, words, env)
        self._name = name

    @property
    def said(self) -> Path:
        return self.folder / self._name


def test_select_with_one_cache(tmp_path: Path, often: Often, tell: Tell) -> None:
    write_pool(tmp_path / "pool.jsonl", often(600, 9_000))
    calm = in_folder(tmp_path / "calm", "select", "../pool.jsonl", "--out", "out")
    calm.run()
    for number in range(tries := often(1, 10)):
        one = in_folder(tmp_path / f"both{number}", *calm.words)
        two = beside(one, "two.txt", "select", "../pool.jsonl", "--out", "other")
        assert codes(one.start(), two.start()) == [0, 0]
        assert contents(one.out) == contents(calm.out)
        assert contents(two.out, but=NAMED) == contents(calm.out, but=NAMED)
        caches = [contents(each.folder / "cache", but=("files.json",)) for each in (one, calm)]
        assert caches[0] == caches[1]
        assert unfinished(one.folder) == []
    tell("two selects at once, one cache", tried=tries, lost=0)


@pytest.mark.parametrize("force", [False, True], ids=["plain", "force"])
def test_select_into_one_output(force: bool, tmp_path: Path, often: Often, tell: Tell) -> None:
    write_pool(tmp_path / "pool.jsonl", 500)
    calm = in_folder(tmp_path / "calm", "select", "../pool.jsonl", "--out", "out", *(["--force"] if force else []))
    calm.run()
    refused = 0
    for number in range(tries := often(1, 15)):
        one = in_folder(tmp_path / f"both{number}", *calm.words)
        two = beside(one, "two.txt")
        ends = codes(one.start(), two.start())
        if force:
            assert ends == [0, 0], [each.said.read_text() for each in (one, two)]
        else:
            assert sorted(ends) == [0, 2], [each.said.read_text() for each in (one, two)]
            loser = one if ends[0] else two
            assert "out exists; choose another --out, or replace it with --force" in loser.said.read_text()
            refused += 1
        assert contents(one.out) == contents(calm.out)
        assert unfinished(one.folder) == []
    tell(f"two selects at once, one output{', --force' if force else ''}", tried=tries, lost=0, refused=refused)


def test_score(tmp_path: Path, often: Often, tell: Tell) -> None:
    write_pool(tmp_path / "pool.jsonl", often(200, 1_200))
    with serving(judging) as server:
        words = ("score", "../pool.jsonl", "--difficulty", "judge", "--model", "m", "--base-url", server.url)
        calm = in_folder(tmp_path / "calm", *words)
        calm.run()
        for number in range(tries := often(1, 10)):
            one = in_folder(tmp_path / f"both{number}", *words)
            assert codes(one.start(), beside(one, "two.txt").start()) == [0, 0]
            caches = [contents(each.folder / "cache", but=("files.json",)) for each in (one, calm)]
            assert caches[0] == caches[1]
            assert unfinished(one.folder) == []
    tell("two scores at once, one cache", tried=tries, lost=0)


@pytest.mark.parametrize("name", ["rollout", "evaluate"])
def test_answers(name: str, tmp_path: Path, often: Often, tell: Tell) -> None:
    """The second is refused, also one of other settings before there is an answer; the first is not disturbed."""
    write_questions(tmp_path / "bench.jsonl", 20)
    speaks = threading.Event()

    def waiting(path: str, body: Mapping[str, Any], number: int) -> Reply:
        speaks.wait(PATIENCE_S)
        return answering(path, body, number)

    table = ("rollout", "../bench.jsonl") if name == "rollout" else ("evaluate", "--benchmarks", "../bench.jsonl")
    with serving(waiting) as server:
        fixed = (*table, "--model", "m", "--base-url", server.url, "-n", 4, "--max-tokens", 100, "--out", "out")
        calm = in_folder(tmp_path / "calm", *fixed, "--temperature", "0.6")
        speaks.set()
        calm.run()
        for number in range(tries := often(1, 10)):
            one, before = in_folder(tmp_path / f"both{number}", *calm.words), len(server.asked)
            speaks.clear()
            process = one.start()
            assert wait_until(lambda before=before: len(server.asked) > before, process)  # type: ignore[misc]
            same, other = beside(one, "two.txt"), beside(one, "three.txt", *fixed, "--temperature", "0.9")
            assert codes(same.start(), other.start()) == [2, 2]
            for each in (same, other):
                told = "error: out is being written by another run; wait for it, or choose another --out"
                assert told in each.said.read_text()
            speaks.set()
            assert codes(process) == [0]
            assert comparable(one.out) == comparable(calm.out)
            before = len(server.asked)
            one.run()  # nothing is drawn again
            assert len(server.asked) == before
            assert comparable(one.out) == comparable(calm.out)
            assert unfinished(one.folder) == []
    tell(f"two {name}s at once, one output", tried=2 * tries, lost=0, refused=2 * tries)


def test_train_and_run(tmp_path: Path, often: Often, tell: Tell) -> None:
    """Refused as long as the first works, wherever it is just then."""
    if not (tries := often(0, 3)):
        pytest.skip("a minute long: make torture")
    write_pool(tmp_path / "pool.jsonl", 60)
    in_folder(tmp_path, "select", "pool.jsonl", "--preset", "paper", "--rows", 12, "--out", "chosen").run()
    make_chat_model(tmp_path / "model", context=4096)
    train = ("train", "../chosen", "--model", "../model", "--max-steps", 12, "--batch-size", 2, "--out", "out")
    recipe = "[select]\npool='../pool.jsonl'\npreset='paper'\n[variants.a]\n[variants.b]\nselect.strategy='random'\n"
    (tmp_path / "mine.toml").write_text(recipe)
    for number in range(tries):
        for name, words in {"train": train, "run": ("run", "../mine.toml", "--out", "out")}.items():
            one = in_folder(tmp_path / f"{name}{number}", *words)
            two = beside(one, "two.txt")
            process = one.start()
            lock = one.out / ("run.lock" if name == "run" else "work/trainer.lock")
            assert wait_until(lock.exists, process)
            assert codes(two.start()) == [2], two.said.read_text()
            assert "by another process; wait for it, or end it" in two.said.read_text()
            assert codes(process) == [0]
            assert unfinished(one.folder) == []
    tell("two trains, two runs at once, one output", tried=2 * tries, lost=0, refused=2 * tries)
