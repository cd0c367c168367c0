"""`compare`: what every strategy would take of a pool, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from select2reason.cli.app import app
from select2reason.cli.choosing import Choosing
from select2reason.cli.groups import grouped
from select2reason.cli.model_options import Checking, Engine, Judging
from select2reason.cli.options import (
    AsJson,
    Difficulty,
    Force,
    Machines,
    Out,
    Pools,
    Reading,
    TokenizerName,
    command_line,
    echo,
    print_json,
    print_paths,
)

if TYPE_CHECKING:
    from select2reason.comparing import Comparison, Figures

_LOOPING = "looping"


@app.command(
    epilog="""
Examples:

`select2reason compare open-r1/OpenR1-Math-220k --out side-by-side`

`select2reason compare pool.parquet --preset paper --fraction 5% --out what-length-alone-takes`

`select2reason compare traces/*.jsonl --rows 1000 --weight 0.5 --out half-half`
"""
)
@grouped
def compare(
    pools: Pools,
    out: Out,
    choosing: Choosing,
    checking: Checking,
    reading: Reading,
    engine: Engine,
    judging: Judging,
    machines: Machines,
    difficulty: Difficulty = "builtin",
    tokenizer: TokenizerName = "builtin",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """All strategies side by side: overlap, tokens, health, difficulty; sweeps over weight and size."""
    reading.begin(pools, tokenizer=tokenizer, machines=machines)
    from select2reason import pipeline

    comparison = pipeline.compare(
        reading.settings(pools, ray=machines.settings()),
        checking.score_settings(tokenizer, difficulty, engine, judging),
        choosing.settings(checking),
        out,
        force=force,
        command=command_line(),
    )
    if as_json:
        print_json(comparison, out=out)
    else:
        _print(comparison, out)


def _print(comparison: Comparison, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from select2reason.export import CONTAMINATION

    table = Table(title=None, box=None, pad_edge=False, collapse_padding=True)
    table.add_column("")
    for name in ("rows", f"also in {comparison.asked}", "tokens", "trace tokens", "difficulty", "rethinking", _LOOPING):
        table.add_column(name, justify="right")
    for choice in comparison.choices:
        own = choice.strategy == comparison.asked
        common = choice.overlap[comparison.asked].n / max(1, choice.figures.n)
        told = _told(choice.figures, "" if own else f"{common:.0%}")
        table.add_row(choice.strategy, *told, style="bold" if own else "")
    table.add_row("eligible", *_told(comparison.eligible, ""), style="dim")
    Console(highlight=False).print(table)
    echo("trace tokens, difficulty, rethinking: means; looping: share of what was taken")
    echo("other weights and sizes, every overlap and the rules of health: in the report")
    names = ["report.html", "comparison.json", "scores.parquet", "manifest.json", "quarantine.jsonl", CONTAMINATION]
    print_paths([path for name in names if (path := out / name).exists()])


def _told(figures: Figures, common: str) -> tuple[str, ...]:
    looping = figures.health.get(_LOOPING)
    return (
        f"{figures.n:,}",
        common,
        f"{figures.tokens:,}",
        _figure(figures.mean_trace, 0),
        _figure(figures.mean_difficulty, 3),
        _figure(figures.mean_rethinking, 1),
        f"{looping.flagged / looping.measured:.1%}" if looping and looping.measured else "none",
    )


def _figure(value: float | None, places: int) -> str:
    return "none" if value is None else f"{value:,.{places}f}"
