"""Progress of long steps on standard error: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from select2reason.errors import Select2ReasonError
from select2reason.signs import on_a_line

Advance = Callable[[float], None]
SPOKEN_FOR = "SELECT2REASON_SPOKEN_FOR"
"""Set in the environment of a stage of a recipe: how to go on after an interruption, the run itself says."""
_SECONDS_BETWEEN_LINES = 10.0
console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def hear_interrupts() -> None:
    """Let Ctrl-C end a wait: under Polars' handler a thread that waits sleeps on, and it goes unheard."""
    signal.siginterrupt(signal.SIGINT, True)


@contextmanager
def stage(label: str, total: float, *, unit: str = "rows") -> Iterator[Advance]:
    """One long step; the block calls what it is given with what was done since the last call, out of `total`."""
    hear_interrupts()
    shown = _bar if console.is_terminal else _lines
    with shown(label, total, unit) as advance:
        yield advance


@contextmanager
def _bar(label: str, total: float, unit: str) -> Iterator[Advance]:
    text = TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        text,
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{label:<18}", total=total, rate="")

        def advance(done: float) -> None:
            progress.advance(task, done)
            speed = progress.tasks[0].speed
            progress.update(task, rate=f"{_rate(speed)} {unit}/s" if speed else "")

        yield advance


@contextmanager
def _lines(label: str, total: float, unit: str) -> Iterator[Advance]:
    start = said = time.monotonic()
    done = 0.0

    def advance(more: float) -> None:
        nonlocal done, said
        done += more
        now = time.monotonic()
        if now - said > _SECONDS_BETWEEN_LINES and done:
            said, rate = now, done / (now - start)
            left = max(0.0, total - done) / rate
            say(f"{label}: {done:,.0f} of {total:,.0f} {unit}, {_rate(rate)} {unit}/s, {left:.0f} s left")

    yield advance
    say(f"{label}: {done:,.0f} {unit} in {time.monotonic() - start:.1f} s")


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def say(text: str) -> None:
    """One plain line on standard error; a newline may stand before it, and nowhere else."""
    told = text.removeprefix("\n")
    console.print(f"{'' if told == text else chr(10)}{on_a_line(told)}", markup=False)


def fail(error: Select2ReasonError) -> None:
    """An error as its one line."""
    told = on_a_line(" ".join(str(error).split()))
    console.print(Text.assemble(("error:", "bold red"), " ", told))
