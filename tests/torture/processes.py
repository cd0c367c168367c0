"""The program in a process of its own, within a limit of time, and what the law says of how it ended."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.torture.reader import ROOT, unlawful


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended; `error` is its one line, "" where it went well."""

    code: int
    told: str
    time_s: float

    @property
    def error(self) -> str:
        return next((line for line in self.told.splitlines() if line.startswith("error: ")), "")


def started(*argv: str | Path, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """Start a command; `before` is called in the new process, before the program is."""
    command = [sys.executable, "-m", "select2reason", *map(str, argv)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        preexec_fn=before,
    )


def ended(process: subprocess.Popen[str], limit_s: float) -> Ended:
    """Wait for it, and hold it against the law."""
    begun = time.monotonic()
    try:
        _, told = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError(f"{process.args!r} hung for {limit_s:.0f} s") from None
    found = Ended(process.returncode, told, time.monotonic() - begun)
    wrong = list(unlawful({"code": found.code, "told": told, "crashed": "", "counts": None}))
    assert not wrong, (process.args, wrong)
    return found


def as_others() -> None:
    """In a new process: root's right to read and write everything is given up, so that rights count."""
    prctl, drop, overriding, searching = ctypes.CDLL(None).prctl, 24, 1, 2  # of linux/prctl.h and linux/capability.h
    for right in (overriding, searching):
        prctl(drop, right, 0, 0, 0)


def run(*argv: str | Path, limit_s: float = 120.0, before: Callable[[], None] | None = None) -> Ended:
    """Run a command to its end."""
    return ended(started(*argv, before=before), limit_s)
