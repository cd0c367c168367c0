"""`select`, `analyze` and `demo`: from a pool to a selection, or to what can be said of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from select2reason.cli.app import app
from select2reason.cli.choosing import Choosing, Strategy
from select2reason.cli.groups import grouped
from select2reason.cli.model_options import Checking, Engine, Judging
from select2reason.cli.options import (
    CHOOSE,
    MOST,
    OUT,
    SCORE,
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
    from select2reason.pipeline import SelectOutcome


@app.command(
    epilog="""
Examples:

`select2reason select open-r1/OpenR1-Math-220k --out openr1-10pct`

`select2reason select traces/*.jsonl --rows 1000 --out best-1000`

`select2reason select pool.parquet --difficulty column:difficulty --weight 0.5 --out half-half`

`select2reason select pool.parquet --difficulty judge --backend vllm --out judged`

`select2reason select pool.jsonl --verify grade --benchmark-files my-test.jsonl --out checked`

`select2reason select pool.parquet --engine ray --ray-address auto --ray-storage s3://bucket/s2r --out by-cluster`
"""
)
@grouped
def select(
    pools: Pools,
    out: Out,
    choosing: Choosing,
    checking: Checking,
    reading: Reading,
    engine: Engine,
    judging: Judging,
    machines: Machines,
    strategy: Annotated[
        Strategy,
        typer.Option(help="The paper's joint ranker, or what it is compared with.", rich_help_panel=CHOOSE),
    ] = "joint",
    difficulty: Difficulty = "builtin",
    tokenizer: TokenizerName = "builtin",
    carry: Annotated[
        str,
        typer.Option(help="The pool's own columns in the selection: all, none, or `COL,...`.", rich_help_panel=OUT),
    ] = "all",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Choose the best rows of a pool: reasons for every row, ready to train on."""
    reading.begin(pools, tokenizer=tokenizer, machines=machines)
    from select2reason import pipeline

    outcome = pipeline.select(
        reading.settings(pools, ray=machines.settings(), carry=carry),
        checking.score_settings(tokenizer, difficulty, engine, judging),
        choosing.settings(checking, strategy),
        out,
        force=force,
        command=command_line(),
    )
    _print_outcome(outcome, as_json=as_json)


@app.command(epilog="Example: `select2reason analyze traces.parquet --out study`")
@grouped
def analyze(
    pools: Pools,
    out: Out,
    checking: Checking,
    reading: Reading,
    engine: Engine,
    judging: Judging,
    machines: Machines,
    cutoff_len: Annotated[
        int,
        typer.Option(
            min=0, max=MOST, help="Count examples longer than this many tokens; 0 = do not.", rich_help_panel=SCORE
        ),
    ] = 16_384,
    difficulty: Difficulty = "builtin",
    tokenizer: TokenizerName = "builtin",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """The rethinking study and the health of a pool, without choosing."""
    reading.begin(pools, tokenizer=tokenizer, machines=machines)
    from select2reason import pipeline

    study = pipeline.analyze(
        reading.settings(pools, ray=machines.settings()),
        checking.score_settings(tokenizer, difficulty, engine, judging),
        out,
        cutoff_tokens=cutoff_len,
        verify=checking.verify,
        force=force,
        command=command_line(),
    )
    if as_json:
        print_json(study, out=out)
    else:
        from select2reason.export import CONTAMINATION

        for rule, count in cast("dict[str, dict[str, int]]", study["health"]).items():
            known = f"{count['flagged']:,} of {count['measured']:,}" if count["measured"] else "not measured"
            echo(f"{rule:<16} {known}")
        names = ["report.html", "study.json", "scores.parquet", "manifest.json", "quarantine.jsonl", CONTAMINATION]
        print_paths([path for name in names if (path := out / name).exists()])


@app.command(
    epilog="""
Examples:

`select2reason score pool.parquet --difficulty judge --backend vllm`

`select2reason score pool.parquet --difficulty judge --backend vllm --engine ray --ray-address auto`
"""
)
@grouped
def score(
    pools: Pools,
    checking: Checking,
    reading: Reading,
    engine: Engine,
    judging: Judging,
    machines: Machines,
    difficulty: Difficulty = "builtin",
    tokenizer: TokenizerName = "builtin",
    as_json: AsJson = False,
) -> None:
    """Only the scores, into the cache: for a long run on a GPU machine; `select` then finds them there."""
    reading.begin(pools, tokenizer=tokenizer, machines=machines)
    from select2reason import pipeline

    scores = checking.score_settings(tokenizer, difficulty, engine, judging)
    outcome = pipeline.score_only(reading.settings(pools, ray=machines.settings()), scores, verify=checking.verify)
    if as_json:
        print_json(outcome)
        return
    echo(f"{outcome.rows:,} rows, {outcome.missing:,} without a difficulty")
    for note in outcome.notes:
        echo(f"note: {note}")
    print_paths([outcome.pool])


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demo's pool and selection.")] = Path("select2reason-demo"),
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Seed of the demo's pool.")] = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a small pool and select from it: the first thing to run."""
    from select2reason import pipeline

    outcome = pipeline.demo(out, seed=seed, force=force)
    _print_outcome(outcome, as_json=as_json)
    if not as_json:
        echo(_after_demo(out))


# --- printing -------------------------------------------------------------------------------------------------------


def _print_outcome(outcome: SelectOutcome, *, as_json: bool) -> None:
    if as_json:
        print_json(outcome)
        return
    from rich.console import Console
    from rich.table import Table

    from select2reason.export import CONTAMINATION

    table = Table(title=None, box=None, pad_edge=False)
    table.add_column("")
    table.add_column("rows", justify="right")
    table.add_column("tokens", justify="right")
    table.add_column("GPU hours", justify="right")
    sides = {
        "pool": (outcome.pool_rows, outcome.pool_tokens),
        "eligible": (outcome.eligible, outcome.eligible_tokens),
        "selected": (outcome.selected, outcome.selected_tokens),
    }
    for name, (rows, tokens) in sides.items():
        style = "bold" if name == "selected" else ""
        table.add_row(name, f"{rows:,}", f"{tokens:,}", f"{outcome.gpu_hours[name]:,.2f}", style=style)
    left_out = {reason: count for reason, count in outcome.counts.items() if reason != "selected"}
    if left_out:
        table.add_row("left out, by first reason", style="dim")
    for reason, count in left_out.items():
        table.add_row(f"  {reason}", f"{count:,}", "", "")
    Console(highlight=False).print(table)
    echo("GPU hours: of an H100, one epoch; an estimate, its formula is in the report")
    for note in outcome.notes:
        echo(f"note: {note}")
    names = ["data", "README.md", "scores.parquet", "manifest.json", "report.html", "quarantine.jsonl"]
    print_paths([path for name in [*names, CONTAMINATION] if (path := outcome.out / name).exists()])


def _after_demo(out: Path) -> str:
    chosen = out / "selection"
    again = shlex.join(
        ["select2reason", "select", str(out / "pool.jsonl"), "--weight", "0.5", "--out", str(out / "half")]
    )
    look = shlex.join(["select2reason", "view", str(chosen)])
    return f"""
Look at it:
  {look}
  {chosen / "report.html"}     why these rows, and what was left out (open it in a browser)
  {chosen / "scores.parquet"}  every example of the pool: scores, ranks, reason
  {out / "pool.jsonl"}  the pool it chose from, made just now
Try another weight, and see that nothing is scored again:
  {again}
Then your own pool:
  select2reason select YOUR-POOL --out best"""
