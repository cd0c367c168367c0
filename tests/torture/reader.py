"""The parent of reader_child.py: asks it one thing after another, each within a limit of time, and starts it again
where it died or hung."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MOST_S = 60.0
"""No small file may keep the program longer than this."""
MOST_BYTES = 1 << 30
"""What one process may hold at most, of resident memory, while it reads small files."""


@dataclass
class Reader:
    """Asks the child; `lost` holds what broke the law, in words."""

    watched: bool = False
    lost: list[str] = field(default_factory=list)
    tried: int = 0
    slowest_s: float = 0.0
    peak_bytes: int = 0
    codes: dict[int, int] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None

    def ask(self, what: str, asked: dict[str, Any], *, limit_s: float = MOST_S) -> dict[str, Any]:
        """Ask, and hold the answer against the law: exit code 0, 1 or 2, one line where it failed, no traceback, no
        hang. An answer of {} is a process that died or was ended."""
        self.tried += 1
        process = self._started()
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], limit_s)
            line = process.stdout.readline() if ready else ""
        except BrokenPipeError:
            ready, line = [process.stdout], ""
        if not line:
            self.close()
            self.lost.append(f"{what}: " + (f"died: {process.returncode}" if ready else f"hung for {limit_s:.0f} s"))
            return {}
        answer: dict[str, Any] = json.loads(line)
        self.slowest_s = max(self.slowest_s, answer["time_s"])
        self.peak_bytes = max(self.peak_bytes, answer["peak_bytes"])
        self.codes[answer["code"]] = self.codes.get(answer["code"], 0) + 1
        self.lost += [f"{what}: {told}" for told in unlawful(answer)]
        return answer

    def pool(self, what: str, files: Sequence[Path], cache: Path) -> dict[str, Any]:
        """Make these files a canonical pool."""
        return self.ask(what, {"pool": {"files": [str(file) for file in files], "cache": str(cache)}})

    def run(self, what: str, *argv: str | Path, limit_s: float = MOST_S) -> dict[str, Any]:
        """A command line."""
        return self.ask(what, {"argv": [str(word) for word in argv]}, limit_s=limit_s)

    def close(self) -> None:
        """End the child."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            command = [sys.executable, "-m", "tests.torture.reader_child", *(["watched"] if self.watched else [])]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
            )
        return self._process


@contextmanager
def reader(*, watched: bool = False) -> Iterator[Reader]:
    """A child for one test."""
    held = Reader(watched)
    try:
        yield held
    finally:
        held.close()


def unlawful(answer: dict[str, Any]) -> Iterator[str]:
    """What is wrong with how a command ended."""
    code, told = answer["code"], answer["told"]
    errors = [line for line in told.splitlines() if line.startswith("error: ")]
    if answer["crashed"]:
        yield f"crashed: {answer['crashed'].strip().splitlines()[-1]}"
    elif "Traceback" in told or "panicked" in told:
        yield f"a traceback: {told[-500:]}"
    elif code not in (0, 1, 2):
        yield f"exit code {code}"
    elif len(errors) != (code != 0):
        yield f"exit code {code} with {len(errors)} lines of error: {told[-500:]}"
    elif answer["counts"] and not answer["counts"].get("added_up", True):
        yield f"the counts do not add up: {answer['counts']}"
