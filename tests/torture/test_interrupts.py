"""Ctrl-C and SIGTERM while a command works: it ends within 5 seconds, with one line that says how to go on.

The 5 seconds are the promise itself, so here a clock decides.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

pytest.importorskip("openai", reason="needs openai")

from ..loopback import serving
from ..tiny_chat_model import make_chat_model
from .commands import Command, answering, contents, in_folder, judging, unfinished, wait_until, write_pool
from .conftest import Tell
from .test_kills import begun, write_questions

Often = Callable[[int, int], int]
PROMISED_S = 5.0
TOLD = "interrupted; run the same command again: what was finished is kept"


def ended(command: Command, process: subprocess.Popen[bytes], *numbers: int, gap_s: float = 0.0) -> float | None:
    """Send signals, as a terminal does, to all processes of the command; how long it took to end. None: it was done."""
    if process.poll() is not None:
        return None
    since = time.monotonic()
    for number in numbers:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        time.sleep(gap_s)
    process.wait(60)
    took = time.monotonic() - since - gap_s * len(numbers)
    said = command.said.read_text()
    if process.returncode == 0:
        return None
    assert process.returncode == 130, said
    assert said.count(TOLD) == 1, said
    assert "Traceback" not in said, said
    assert "Exception" not in said, said
    assert took < PROMISED_S, said
    return took


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_select_at_any_moment(number: int, tmp_path: Path, often: Often, tell: Tell) -> None:
    if not (tries := often(1 if number == signal.SIGTERM else 0, 15)):
        pytest.skip("the other signal is enough: make torture")
    write_pool(tmp_path / "pool.jsonl", often(1_000, 9_000))
    calm = in_folder(tmp_path / "calm", "select", "../pool.jsonl", "--out", "out")
    since = time.monotonic()
    calm.run()
    span = time.monotonic() - since
    rng, took = np.random.default_rng(number), list[float]()
    for n in range(20 * tries):
        stopped = in_folder(tmp_path / f"stopped{n}", *calm.words)
        process = stopped.start()
        if not wait_until(begun(stopped.folder), process):
            continue
        time.sleep(float(rng.uniform(0, 0.8 * span)))
        seconds = ended(stopped, process, number)
        if seconds is None:
            continue
        assert unfinished(stopped.folder) == []
        took.append(seconds)
        if len(took) == tries:
            break
    assert len(took) == tries
    if not stopped.out.exists():
        stopped.run()
    assert contents(stopped.out) == contents(calm.out)
    tell(f"{signal.Signals(number).name} to select", tried=tries, lost=0, longest_s=round(max(took), 2))


def test_a_signal_when_all_is_done(often: Often, tell: Tell) -> None:
    """Python takes its handlers away before it takes itself apart; a signal would end it then as if not all was."""
    program = "import polars; from select2reason.cli.running import run; run(lambda: print('wrote', flush=True))"
    tries = often(10, 80)
    for n in range(tries):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.04 * n / tries)
        process.send_signal((signal.SIGINT, signal.SIGTERM)[n % 2])
        said = process.communicate()[1].decode()
        assert (process.returncode, said) == (0, "") or (process.returncode == 130 and TOLD in said), said
    tell("a signal after the last line of a command", tried=tries, lost=0)


def test_two_ctrl_c_in_a_row(tmp_path: Path, often: Often, tell: Tell) -> None:
    write_pool(tmp_path / "pool.jsonl", often(1_000, 9_000))
    words = ("select", "../pool.jsonl", "--out", "out", "--force")
    calm = in_folder(tmp_path / "calm", *words)
    since = time.monotonic()
    calm.run()
    span = time.monotonic() - since
    stopped = in_folder(tmp_path / "stopped", *words)
    stopped.run()  # what was selected before stays whole, whatever happens now
    before = contents(stopped.out)
    assert before == contents(calm.out)
    rng, took, done = np.random.default_rng(5), list[float](), 0
    for _ in range(often(2, 30)):  # with the cache full: rows are ordered and written
        process = stopped.start()
        assert wait_until(lambda: b"layout:" in stopped.said.read_bytes(), process)
        time.sleep(float(rng.uniform(0, 0.3 * span)))
        gap = float(rng.choice([0.0, 0.003, 0.02, 0.1]))
        seconds = ended(stopped, process, signal.SIGINT, signal.SIGINT, gap_s=gap)
        took += [] if seconds is None else [seconds]
        done += seconds is None
        assert contents(stopped.out) == before
    stopped.run()
    assert contents(stopped.out) == before
    assert unfinished(stopped.folder) == []
    tell("two Ctrl-C in a row to select", tried=len(took), lost=0, done_by_then=done, longest_s=round(max(took), 2))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("name", ["score", "rollout", "evaluate"])
def test_with_a_server(name: str, number: int, tmp_path: Path, often: Often, tell: Tell) -> None:
    if not (tries := often(1 if number == signal.SIGINT else 0, 10)):
        pytest.skip("the other signal is enough: make torture")
    write_pool(tmp_path / "pool.jsonl", often(500, 1_200))
    write_questions(tmp_path / "bench.jsonl", 120)
    rng, took = np.random.default_rng(number), list[float]()
    with serving(judging if name == "score" else answering) as server:
        how = ("--model", "m", "--base-url", server.url)
        drawn = ("-n", 4, "--temperature", "0.6", "--max-tokens", 100, "--out", "out")
        words: dict[str, tuple[object, ...]] = {
            "score": ("score", "../pool.jsonl", "--difficulty", "judge"),
            "rollout": ("rollout", "../bench.jsonl", *drawn),
            "evaluate": ("evaluate", "--benchmarks", "../bench.jsonl", *drawn),
        }
        for n in range(tries):
            stopped, before = in_folder(tmp_path / f"stopped{n}", *words[name], *how), len(server.asked)
            process, wanted = stopped.start(), int(rng.integers(1, 400))
            assert wait_until(lambda before=before, wanted=wanted: len(server.asked) >= before + wanted, process)  # type: ignore[misc]
            seconds = ended(stopped, process, number)
            assert seconds is not None
            assert unfinished(stopped.folder) == []
            took.append(seconds)
        if tries > 1:
            stopped.run()
    tell(f"{signal.Signals(number).name} to {name}", tried=len(took), lost=0, longest_s=round(max(took), 2))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("name", ["train", "run"])
def test_a_training_and_a_recipe(name: str, number: int, tmp_path: Path, often: Often, tell: Tell) -> None:
    """While the trainer works, which has a session of its own, and hears of no Ctrl-C."""
    pytest.importorskip("trl", reason="needs trl")
    if not (tries := often(0, 3)):
        pytest.skip("minutes long: make torture")
    write_pool(tmp_path / "pool.jsonl", 60)
    make_chat_model(tmp_path / "model", context=4096)
    how = {"max_steps": 400, "save_every": 10, "batch_size": 2}
    if name == "train":
        in_folder(tmp_path, "select", "pool.jsonl", "--preset", "paper", "--rows", 12, "--out", "chosen").run()
        options = [word for key, value in how.items() for word in ("--" + key.replace("_", "-"), value)]
        words, log = ("train", "../chosen", "--model", "../model", *options, "--out", "out"), "out/log.jsonl"
    else:
        told = "".join(f"{key} = {value}\n" for key, value in how.items())
        recipe = f"[select]\npool = '../pool.jsonl'\npreset = 'paper'\nrows = 12\n[train]\nmodel = '../model'\n{told}"
        (tmp_path / "mine.toml").write_text(recipe)
        words, log = ("run", "../mine.toml", "--out", "out"), "out/train/main/log.jsonl"
    stopped, rng, took = in_folder(tmp_path / "stopped", *words), np.random.default_rng(number), list[float]()
    file = stopped.folder / log
    for _ in range(tries):
        process, size = stopped.start(), file.stat().st_size if file.exists() else 0
        assert wait_until(lambda size=size: file.exists() and file.stat().st_size > size, process)  # type: ignore[misc]
        time.sleep(float(rng.uniform(0, 2)))
        children = psutil.Process(process.pid).children(recursive=True)
        seconds = ended(stopped, process, number)
        assert seconds is not None
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        took.append(seconds)
    tell(f"{signal.Signals(number).name} to {name}", tried=tries, lost=0, longest_s=round(max(took), 2))
