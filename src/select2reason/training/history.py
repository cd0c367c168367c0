"""The log of a training, step by step, over all the runs that it took: what it comes to, and where it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from select2reason.files import write_whole


@dataclass(frozen=True, slots=True)
class History:
    """`tokens` that went through the model and the seconds that their steps took, on what; losses are of the first and
    the last step, None where there is none or it is no number."""

    tokens: int
    time_s: float
    device: str | None
    processes: int | None
    first_loss: float | None
    last_loss: float | None


def read(log: Path) -> History:
    """What the log of a whole training says. A run begins with a line that has `from`."""
    tokens, seconds, losses = 0, 0.0, []
    begun: Mapping[str, Any] = {}
    for line, last in _with_ends(list(_lines(log))):
        if "from" in line:
            begun = line
        if "loss" in line:
            losses.append(line["loss"])
        if last:
            seconds += line["at"] - begun["at"]
            tokens += int(line.get("num_tokens", 0))
    where = begun.get("device"), begun.get("processes")
    return History(tokens, seconds, *where, losses[0] if losses else None, losses[-1] if losses else None)


def forget_after(log: Path, step: int) -> None:
    """Leave out what came after a step: those steps are done again. Without a step, everything."""
    if not log.exists():
        return
    kept = [line for line in _lines(log) if step and line.get("step", line.get("from", 0)) <= step]
    write_whole(log, b"".join(orjson.dumps(line) + b"\n" for line in kept))


def _lines(log: Path) -> Iterator[Mapping[str, Any]]:
    """The lines of steps and beginnings; the trainer's summary, and a line torn by a kill, are none."""
    for text in log.read_bytes().splitlines():
        try:
            line = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if "from" in line or "loss" in line:
            yield line


def _with_ends(lines: list[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Each line, and whether it is the last of its run."""
    for at, line in enumerate(lines):
        yield line, at + 1 == len(lines) or "from" in lines[at + 1]
