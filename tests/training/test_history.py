"""A log over several runs: what it comes to, and what is forgotten when steps are done again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from select2reason.training.history import History, forget_after, read

FIRST = [
    {"steps": 4, "from": 0, "at": 100.0},
    {"step": 1, "loss": 3.0, "num_tokens": 10, "at": 101.0},
    {"step": 2, "loss": 2.0, "num_tokens": 20, "at": 102.0},
    {"step": 3, "loss": 9.0, "num_tokens": 30, "at": 103.0},
]
SECOND = [
    {"steps": 4, "from": 2, "device": "GPU", "processes": 2, "at": 500.0},
    {"step": 3, "loss": 1.5, "num_tokens": 10, "at": 501.0},
    {"step": 4, "loss": 1.0, "num_tokens": 25, "at": 504.0},
    {"step": 4, "train_runtime": 4.0, "at": 504.5},
]


def write(log: Path, lines: Sequence[Mapping[str, object]], torn: str = "") -> Path:
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + torn)
    return log


def test_runs_add_up_and_what_is_done_again_counts_once(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", FIRST, torn='{"step": 4, "lo')
    forget_after(log, 2)
    with log.open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in SECOND))
    assert read(log) == History(20 + 25, 2.0 + 4.0, "GPU", 2, first_loss=3.0, last_loss=1.0)


@pytest.mark.parametrize(("step", "kept"), [(0, 0), (1, 2), (3, 4)])
def test_steps_after_a_checkpoint_are_forgotten(step: int, kept: int, tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", FIRST)
    forget_after(log, step)
    assert len(log.read_text().splitlines()) == kept


def test_a_log_without_a_step_says_nothing(tmp_path: Path) -> None:
    assert read(write(tmp_path / "log.jsonl", FIRST[:1])) == History(0, 0.0, None, None, None, None)
