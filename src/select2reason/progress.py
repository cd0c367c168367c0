"""Progress of long steps on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from select2reason.errors import Select2ReasonError

Advance = Callable[[float], None]
_SECONDS_BETWEEN_LINES = 10.0
console = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def stage(label: str, total: int) -> Iterator[Advance]:
    """One long step of `total` rows; the block calls what it is given with the rows done since the last call."""
    if console.is_terminal:
        with _bar(label, total) as advance:
            yield advance
    else:
        with _lines(label, total) as advance:
            yield advance


@contextmanager
def _bar(label: str, total: int) -> Iterator[Advance]:
    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=False) as progress:
        task = progress.add_task(f"{label:<12}", total=total, rate="")

        def advance(rows: float) -> None:
            progress.advance(task, rows)
            speed = progress.tasks[0].speed
            progress.update(task, rate=f"{speed:,.0f} rows/s" if speed else "")

        yield advance


@contextmanager
def _lines(label: str, total: int) -> Iterator[Advance]:
    start = said = time.monotonic()
    done = 0.0

    def advance(rows: float) -> None:
        nonlocal done, said
        done += rows
        now = time.monotonic()
        if now - said > _SECONDS_BETWEEN_LINES and done:
            said = now
            left = (now - start) * max(0.0, total - done) / done
            console.print(
                f"{label}: {done:,.0f} of {total:,} rows, {done / (now - start):,.0f} rows/s, {left:.0f} s left"
            )

    yield advance
    console.print(f"{label}: {done:,.0f} rows in {time.monotonic() - start:.1f} s")


def say(text: str) -> None:
    """One plain line on standard error."""
    console.print(text, markup=False)


def fail(error: Select2ReasonError) -> None:
    """An error as its one line."""
    console.print(f"[bold red]error:[/] {_escaped(' '.join(str(error).split()))}")


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
