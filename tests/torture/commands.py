"""Commands as processes of their own: started, killed with all that they started, and what they leave compared."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ..loopback import Reply, listed, said

PATIENCE_S = 240.0  # for whatever must end by itself
UNFINISHED = (".part", ".tmp", ".old", ".lock", ".spill")
LOCKS = ("run.lock", "trainer.lock")  # empty, and there for good: two could hold one that is removed
_OF_A_RUN = (  # of a training, what a clock or a place says; and TRL counts tokens from where a run began
    *("time_s", "tokens_per_s", "at", "num_tokens"),
    *("output_dir", "logging_dir", "path", "parent", "resume"),
)


@dataclass
class Command:
    """A command in a folder; `words` name its files as they stand there, so that another folder gives the same."""

    folder: Path
    words: list[str]
    env: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> subprocess.Popen[bytes]:
        """Begin; what it says goes into FOLDER/said.txt."""
        own = [sys.executable, "-m", "select2reason", *self.words]
        env = {**os.environ, "SELECT2REASON_CACHE": "cache", **self.env}
        with self.said.open("wb") as said:
            return subprocess.Popen(own, cwd=self.folder, stdout=said, stderr=said, env=env, start_new_session=True)

    def run(self) -> str:
        """To its end, which must be a good one."""
        process = self.start()
        assert process.wait(PATIENCE_S) == 0, self.said.read_text()[-3000:]
        return self.said.read_text()

    @property
    def said(self) -> Path:
        return self.folder / "said.txt"

    @property
    def out(self) -> Path:
        return self.folder / self.words[self.words.index("--out") + 1]


def in_folder(folder: Path, *words: object, **env: str) -> Command:
    """A command in a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Command(folder, [str(word) for word in words], env)


def kill(process: subprocess.Popen[bytes]) -> bool:
    """SIGKILL to a process and all that it started, in sessions of their own or not; whether it was there."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    return process.wait(PATIENCE_S) == -signal.SIGKILL


def wait_until(true: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    """Whether something came true before the process had ended."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if true():
            return process.poll() is None
        if process.poll() is not None:
            return False
        time.sleep(0.003)
    raise AssertionError("nothing came of it")


# --- what is left ---------------------------------------------------------------------------------------------------


def contents(folder: Path, *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """Digests of all files by their paths within, less those of these names."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in but)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def unfinished(folder: Path) -> list[str]:
    """Files and folders that no finished run may leave."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.endswith(UNFINISHED) and path.name not in LOCKS
    ]


def finished(cache: Path) -> dict[str, tuple[int, int]]:
    """What stands in the cache under its own name: inode and time, which change when it is made again."""
    found = {}
    for path in cache.rglob("*.parquet"):
        if not any(part.endswith(".part") for part in path.relative_to(cache).parts):
            with contextlib.suppress(FileNotFoundError):
                found[str(path.relative_to(cache))] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def without_times(value: Any) -> Any:
    """A manifest's or a log's content, less what a clock, a folder or the run's own count says."""
    if isinstance(value, Mapping):
        return {name: without_times(one) for name, one in value.items() if name not in _OF_A_RUN}
    return [without_times(one) for one in value] if isinstance(value, list) else value


# --- pools and servers ----------------------------------------------------------------------------------------------


def write_pool(file: Path, rows: int) -> Path:
    """Short traces of three kinds: some loop, some are wrong, some are asked twice."""
    rng = np.random.default_rng(0)
    with file.open("w", encoding="utf-8") as lines:
        for n in range(rows):
            a, b = (int(one) for one in rng.integers(10**6, size=2))
            steps = [f"Wait, step {i}: {a} and {b * i} give {a + b * i}." for i in range(1 + n % 9)] * (
                1 + n % 13 // 12
            )
            gold, told = a + b, a + b + (n % 11 == 0)
            solution = "<think>\n" + "\n\n".join(steps) + f"\n</think>\n\nIt is \\boxed{{{told}}}."
            row = {"problem": f"What is {a} plus {b}, case {n - n % 20 // 19}?", "answer": str(gold)}
            lines.write(json.dumps(row | {"solution": solution, "hardness": n % 97, "category": f"c{n % 5}"}) + "\n")
    return file


def judging(path: str, body: Mapping[str, Any], number: int) -> Reply:
    """A judge whose d depends on the question alone."""
    if not path.endswith("/chat/completions"):
        return Reply({}, status=404)
    share = (1 + _byte(body["messages"][-1]["content"])) / 258
    return Reply(listed({"1": math.log(share), " 1": -40.0, "0": math.log(1 - share), " 0": -40.0}))


def answering(path: str, body: Mapping[str, Any], number: int) -> Reply:
    """A model whose answer depends on question and seed alone: right, wrong, or none; each takes its time."""
    asked = body["messages"][-1]["content"]
    kind = _byte(f"{asked} {body['seed']}") % 4
    told = (
        "I do not know.",
        r"\boxed{1}",
        rf"\boxed{{{asked.split()[-1]}}}",
        rf"It is \boxed{{{asked.split()[-1]}.0}}.",
    )
    return Reply(said(told[kind]), wait_s=0.01)


def _byte(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0]
