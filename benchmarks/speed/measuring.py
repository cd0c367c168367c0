"""One side, measured: a whole process and its children, from its start to its end."""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLED_S = 0.05
TOUCHED_BYTES = 1536 << 20
"""Memory that is written to and given back before each run: else who comes after a long pause pays for pages that the
machine has taken back, 0.2 s a GB and more, and who comes next does not."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one process with its children took; `written` is what it left in its folders."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    written_bytes: int = 0
    said: str = ""  # on standard output and error


def run(
    command: Sequence[str | Path],
    log: Path,
    *,
    leaves: Sequence[Path] = (),
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run a process to its end; what is in the folders that it `leaves` is taken off what is there afterwards."""
    before = sum(map(size_of, leaves))
    os.sync()  # what the last one wrote is on disk
    subprocess.run([sys.executable, "-c", f"b'1' * {TOUCHED_BYTES}"], check=True)
    with log.open("wb") as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, "TOKENIZERS_PARALLELISM": "true", **(environment or {})},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        peak = _peak_bytes(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(errors="replace")
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{text[-4000:]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak, sum(map(size_of, leaves)) - before, text)


def _peak_bytes(pid: int) -> int:
    """Most memory until the process ends: of one process alone the kernel's own record (the peak of RSS), of a process
    with children the most that their PSS came to, in which pages that they share count once."""
    peak, ended = 0, os.pidfd_open(pid)
    try:
        tree = psutil.Process(pid)
        while not select.select([ended], [], [], SAMPLED_S)[0]:
            peak = max(peak, _bytes_now(tree))
    finally:
        os.close(ended)
    return peak


def _bytes_now(tree: psutil.Process) -> int:
    children = tree.children(recursive=True)
    if not children:
        return _kilobytes(tree.pid, "status", "VmHWM:") * 1024
    return sum(_kilobytes(one.pid, "smaps_rollup", "Pss:") for one in [tree, *children]) * 1024


def _kilobytes(pid: int, file: str, field: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)


def size_of(path: Path) -> int:
    """Bytes on disk of a file or of all files in a folder; 0 where there is none."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_blocks * 512 for one in files)


def median(runs: Sequence[Run]) -> Run:
    """The median of each figure; what was said is that of the run whose seconds are nearest to theirs."""
    seconds = statistics.median(one.seconds for one in runs)
    return Run(
        seconds,
        statistics.median(one.cpu_seconds for one in runs),
        int(statistics.median(one.peak_bytes for one in runs)),
        int(statistics.median(one.written_bytes for one in runs)),
        min(runs, key=lambda one: abs(one.seconds - seconds)).said,
    )
