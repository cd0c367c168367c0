"""What was measured as Markdown, and its place in RESULTS.md: between two comments, so that no figure is typed."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from speed.measuring import Run, median
from speed.pools import Made
from speed.sides import SIDES

BASE_ROWS = 20_000  # what larger pools are compared with
_LIBRARIES = ("gigatoken", "polars", "pyarrow", "tokenizers", "datasets")
_STAGE = re.compile(r"^([a-z, ]+): .* in ([0-9.]+) s$", re.MULTILINE)  # a line of `select` on standard error


@dataclass(frozen=True, slots=True)
class Measured:
    """The runs of each side over each number of rows, one of each turn, and the pools."""

    pools: Mapping[int, Made]
    runs: Mapping[tuple[str, int], Sequence[Run]]

    def ratio(
        self, above: tuple[str, int], below: tuple[str, int], of: Callable[[Run], float], *, per_row: bool = False
    ) -> str | None:
        """The median over the turns, and the range, of one figure over another; None where one was not measured."""
        if above not in self.runs or below not in self.runs:
            return None
        rows = below[1] / above[1] if per_row else 1
        each = [rows * of(a) / of(b) for a, b in zip(self.runs[above], self.runs[below], strict=True)]
        return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


@dataclass(frozen=True, slots=True)
class Grown:
    """`select` over one large pool, and bytes on disk."""

    pool: Made
    cold: Run
    again: Run
    cache_bytes: int
    selection_bytes: int


def _seconds(run: Run) -> float:
    return run.seconds


def _peak(run: Run) -> float:
    return run.peak_bytes


# --- sections -------------------------------------------------------------------------------------------------------


def section(measured: Measured) -> str:
    """The table, the ratios, and where a cold run's seconds went."""
    turns = len(next(iter(measured.runs.values())))
    return "\n".join(
        [
            _filled(
                f"`make bench` on {machine()}. Medians of {turns} turns in which the sides follow one another, each "
                "figure of a whole process and its children, start included; before each, 1.5 GB of memory are written "
                "to and given back, so that all find it alike. Pools in the OpenR1-Math layout, "
                f"{_mean_text(measured):,.0f} bytes of text a row; MB/s are of that text. Peak memory is the kernel's "
                "own record for one process, and for a process with children the most that their PSS came to, sampled. "
                "Disk is what a run leaves: for `select` its cache and the selection. Counts of tokens are equal "
                "wherever the same text is counted; the slow peers get the traces cut out already. Where a peer ran "
                "over fewer rows than `select`, its start weighs more on each; the ratio of equal rows stands beside."
            ),
            "",
            "| | rows | seconds | CPU s | rows/s | MB/s | peak MB | disk MB |",
            "|---|---|---|---|---|---|---|---|",
            *(_row(side.told, measured, side.name, rows) for side in SIDES for rows in _sizes(measured, side.name)),
            "",
            "| ratio, turn by turn | rows | median (range) |",
            "|---|---|---|",
            *_ratios(measured),
            "",
            *(
                f"A cold run of {rows:,} rows, as the program says: {_split(median(measured.runs['paper', rows]))}."
                for rows in _sizes(measured, "paper")
            ),
        ]
    )


def large_section(grown: Sequence[Grown]) -> str:
    """Seconds, memory and disk of large pools, and what a row takes beside one of BASE_ROWS."""
    base = grown[0]
    return "\n".join(
        [
            _filled(f"Larger pools, one run each, on {machine()}:"),
            "",
            "| rows | run | seconds | of these, as the program says | CPU s | rows/s | peak MB "
            "| a row's seconds against the first | peak against the first | cache MB | selection MB |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *(
                line
                for one in grown
                for line in (
                    _large_row(one, "cold", one.cold, base, base.cold),
                    _large_row(one, "again, another weight", one.again, base, base.again),
                )
            ),
        ]
    )


def _large_row(one: Grown, what: str, run: Run, base: Grown, first: Run) -> str:
    time = run.seconds / one.pool.rows / (first.seconds / base.pool.rows) - 1
    memory = run.peak_bytes / first.peak_bytes - 1
    return (
        f"| {one.pool.rows:,} | {what} | {run.seconds:.1f} | {_split(run)} | {run.cpu_seconds:.1f} "
        f"| {one.pool.rows / run.seconds:,.0f} | {run.peak_bytes / 1e6:,.0f} | {time:+.0%} | {memory:+.0%} "
        f"| {one.cache_bytes / 1e6:,.0f} | {one.selection_bytes / 1e6:,.0f} |"
    )


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _sizes(measured: Measured, name: str) -> list[int]:
    return sorted(rows for side, rows in measured.runs if side == name)


def _mean_text(measured: Measured) -> float:
    pool = measured.pools[max(measured.pools)]
    return pool.text_bytes / pool.rows


def _row(told: str, measured: Measured, name: str, rows: int) -> str:
    one = median(measured.runs[name, rows])
    rate = measured.pools[rows].text_bytes / one.seconds / 1e6
    return (
        f"| {told} | {rows:,} | {one.seconds:.2f} | {one.cpu_seconds:.1f} | {rows / one.seconds:,.0f} | {rate:,.1f} "
        f"| {one.peak_bytes / 1e6:,.0f} | {one.written_bytes / 1e6:,.0f} |"
    )


def _ratios(measured: Measured) -> list[str]:
    told: list[tuple[str, str, str | None]] = []
    ours = [("paper", rows) for rows in _sizes(measured, "paper")]
    for one in ours:
        rows = one[1]
        told += [
            ("seconds of `select`, cold, over the limit", f"{rows:,}", measured.ratio(one, ("limit", rows), _seconds)),
            (
                "the same with one counting thread",
                f"{rows:,}",
                measured.ratio(one, ("limit of one", rows), _seconds),
            ),
            (
                "seconds of `--checks all`, cold, over the limit",
                f"{rows:,}",
                measured.ratio(("all", rows), ("limit", rows), _seconds),
            ),
            ("seconds of preset `safe` over `paper`", f"{rows:,}", measured.ratio(("safe", rows), one, _seconds)),
            (
                "seconds of the official way over `select`",
                f"{rows:,}",
                measured.ratio(("official", rows), one, _seconds),
            ),
        ]
    for peer in ("datasets", "data-juicer"):
        told += [
            (
                f"a row's seconds, {peer} over `select`",
                f"{rows:,} over {one[1]:,}",
                measured.ratio((peer, rows), one, _seconds, per_row=True),
            )
            for rows in _sizes(measured, peer)
            for one in ours
            if one[1] in (rows, BASE_ROWS)
        ]
    base, most = ("paper", BASE_ROWS), max(ours)
    if most > base:
        sizes = f"{most[1]:,} over {BASE_ROWS:,}"
        told += [
            ("a row's seconds, `select`", sizes, measured.ratio(most, base, _seconds, per_row=True)),
            ("peak memory, `select`", sizes, measured.ratio(most, base, _peak)),
        ]
    return [f"| {what} | {rows} | {ratio} |" for what, rows, ratio in told if ratio]


def _split(run: Run) -> str:
    stages = _STAGE.findall(run.said)
    rest = run.seconds - sum(float(seconds) for _, seconds in stages)
    return "; ".join([*(f"{name} {seconds} s" for name, seconds in stages), f"start and all else {rest:.1f} s"])


# --- the machine and the file ---------------------------------------------------------------------------------------


def machine() -> str:
    """The processor, the cores, the memory, the versions; no name of a host or a folder."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"{os.cpu_count()} cores of {found[1] if found else platform.machine()}, {memory:.0f} GiB, "
        f"Python {platform.python_version()}, {versions}, the program at commit {_commit()}"
    )


def _commit() -> str:
    here = Path(__file__).resolve().parents[2]
    name, changed = (
        subprocess.run(["git", *asked], cwd=here, capture_output=True, text=True, check=False).stdout.strip()
        for asked in (["describe", "--always"], ["status", "--porcelain", "src"])
    )
    return f"{name or 'unknown'}{' with changes' if changed else ''}"


def write(file: Path, name: str, told: str) -> None:
    """Put a text between the comments `<!-- NAME -->` and `<!-- /NAME -->` of a file."""
    text = file.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, begun, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        sys.exit(f"{file.name} has no {begin} with {end} after it")
    file.write_text(f"{before}{begin}\n{told}\n{end}{after}", encoding="utf-8")
