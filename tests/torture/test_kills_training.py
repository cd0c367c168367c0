"""SIGKILL while a model trains, and while a recipe runs: the same weights and the same report as when left in peace.

Minutes each, so only under `make torture`; tests/training and tests/test_restart.py hold the short ones.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openai", reason="needs openai")
pytest.importorskip("trl", reason="needs trl")

from ..loopback import serving
from ..tiny_chat_model import make_chat_model
from .commands import Command, answering, contents, in_folder, kill, unfinished, wait_until, without_times, write_pool
from .conftest import Tell
from .test_kills import comparable, write_questions

Often = Callable[[int, int], int]
STEPS, SAVED = 28, 5
IN_A_ROW = 5
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # sums in one order


@pytest.fixture
def kills(often: Often) -> int:
    """How many, in the long version."""
    if not (wanted := often(0, 10)):
        pytest.skip("minutes long: make torture")
    return wanted


def steps(out: Path) -> dict[int, Mapping[str, Any]]:
    """The steps in a training's log."""
    file = out / "log.jsonl"
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    told = [json.loads(line) for line in lines if line.endswith(b"}\n")]
    return {line["step"]: without_times(line) for line in told if "loss" in line}


def _has_reached(out: Path, step: int) -> bool:
    return max(steps(out), default=0) >= step


def goes_on_from(out: Path) -> int:
    """The step that the last run began after."""
    told = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines() if line.endswith("}")]
    return int([line["from"] for line in told if "from" in line][-1])


def trained(out: Path) -> dict[str, Any]:
    """What a training comes to, less what a clock or a place says."""
    manifest = without_times(json.loads((out / "manifest.json").read_text()))
    return {"weights": contents(out / "model"), "steps": steps(out), "manifest": manifest}


def test_train(kills: int, tmp_path: Path, tell: Tell) -> None:
    write_pool(tmp_path / "pool.jsonl", 60)
    select = in_folder(tmp_path, "select", "pool.jsonl", "--preset", "paper", "--rows", 12, "--out", "chosen")
    select.run()
    make_chat_model(tmp_path / "model", context=4096)
    how = ("--max-steps", STEPS, "--save-every", SAVED, "--batch-size", 2, "--learning-rate", "2e-3")
    words = ("train", "../chosen", "--model", "../model", *how, "--out", "out")
    calm = in_folder(tmp_path / "calm", *words, **ONE_THREAD)
    calm.run()
    rng, done, again, crashed = np.random.default_rng(3), 0, list[int](), 0
    for number in range(-(-kills // IN_A_ROW)):
        killed = in_folder(tmp_path / f"killed{number}", *words, **ONE_THREAD)
        reached = 0
        for last in np.sort(rng.choice(np.arange(2, STEPS), IN_A_ROW, replace=False)):
            process = killed.start()
            while not wait_until(partial(_has_reached, killed.out, int(last)), process):
                assert _crashed(killed)  # of itself, as a kill too: the same must come of it
                crashed, process = crashed + 1, killed.start()
            began = goes_on_from(killed.out)
            assert began >= (reached - 1) // SAVED * SAVED  # from the last checkpoint, of this or the step before
            again += [reached - began] if reached else []
            assert kill(process)
            reached, done = max(steps(killed.out)), done + 1
        killed.run()
        assert trained(killed.out) == trained(calm.out)
        assert unfinished(killed.out) == []
    tell(
        "kills of train",
        tried=done,
        lost=0,
        steps=STEPS,
        saved_every=SAVED,
        most_steps_done_again=max(again),
        crashed=crashed,
    )


def _crashed(command: Command) -> bool:
    """Whether the trainer's process fell over in a library (once in some sixty starts, in libc), and that was told."""
    told = "see what it said, mend it, and the same command goes on" in command.said.read_text()
    return told and "died with <Signals.SIGSEGV" in (command.out / "train.log").read_text()


RECIPE = """
[select]
pool = "../pool.jsonl"
preset = "paper"
rows = 12
[train]
model = "../model"
max_steps = 8
save_every = 2
batch_size = 2
[evaluate]
benchmarks = "../bench.jsonl"
base_url = "{url}"
max_tokens = 100
[variants.joint]
[variants.random]
select.strategy = "random"
"""


def test_run(kills: int, tmp_path: Path, tell: Tell) -> None:
    write_pool(tmp_path / "pool.jsonl", 300)
    write_questions(tmp_path / "bench.jsonl", 60)
    make_chat_model(tmp_path / "model", context=4096)
    rng, done, stages = np.random.default_rng(4), 0, list[int]()
    with serving(answering) as server:
        (tmp_path / "mine.toml").write_text(RECIPE.replace("{url}", server.url))
        calm = in_folder(tmp_path / "calm", "run", "../mine.toml", "--out", "out", **ONE_THREAD)
        process = calm.start()
        assert wait_until(calm.out.exists, process)
        since = time.monotonic()
        assert process.wait(600) == 0
        span, number = time.monotonic() - since, 0
        while done < kills:
            killed = in_folder(tmp_path / f"killed{(number := number + 1)}", *calm.words, **ONE_THREAD)
            kept: dict[str, Any] = {}
            for part in range(IN_A_ROW):
                process = killed.start()
                hit = _killed_within(killed, process, float(rng.uniform(0, span / (1 + part))))
                done += hit
                now = _stages(killed.out)
                assert {name: now.get(name) for name in kept} == kept  # a stage that was done is not done again
                stages += [len(now)] if hit else []
                kept = now
            killed.run()
            assert {name: _stages(killed.out)[name] for name in kept} == kept
            assert result(killed.out) == result(calm.out)
            assert unfinished(killed.folder) == []
    tell("kills of run RECIPE", tried=done, lost=0, stages_done_before=sorted(stages), span_s=round(span))


def _killed_within(command: Command, process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Kill after so long at work; false where it was done by then."""
    if not wait_until(lambda: b"stage " in command.said.read_bytes(), process):
        return False
    time.sleep(seconds)
    return kill(process)


def _stages(out: Path) -> dict[str, tuple[int, int]]:
    """The results of finished stages, as they stand on the disk."""
    done = json.loads((out / "run.json").read_text())["done"] if (out / "run.json").exists() else {}
    made = {"select": "manifest.json", "train": "manifest.json", "evaluate": "results.json"}
    files = {name: out / name.replace(" ", "/") / made[name.partition(" ")[0]] for name in done}
    return {name: (file.stat().st_ino, file.stat().st_mtime_ns) for name, file in files.items()}


def result(out: Path) -> dict[str, Any]:
    """What a recipe comes to, less what a clock or a place says."""
    report = json.loads((out / "report.json").read_text())
    return {
        "select": contents(out / "select"),
        "train": [trained(out / "train" / name) for name in ("joint", "random")],
        "evaluate": [comparable(out / "evaluate" / name) for name in ("joint", "random")],
        "report": without_times(report),
        "run": json.loads((out / "run.json").read_text()),
    }
