"""The command line: one command per stage. It parses, calls the pipeline and prints; the work is elsewhere."""

from __future__ import annotations

import gc
import json
import os
import shlex
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from select2reason import __version__
from select2reason.errors import RunError, Select2ReasonError, UsageError

if TYPE_CHECKING:
    from select2reason.pipeline import SelectOutcome
    from select2reason.recipe import PoolSettings, Preset, ScoreSettings, SelectSettings, Verify
    from select2reason.selection import Strategy

app = typer.Typer(
    name="select2reason",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Choose the best tenth of a pool of long chain-of-thought examples (Select2Reason, arXiv 2505.17266).",
    epilog="Start with: `select2reason demo`",
)

_MOST = 2**63 - 1  # the largest whole number that the manifest can hold
_READ, _SCORE, _CHOOSE, _RULES, _OUT = "Reading the pool", "Scoring", "What is taken", "What is left out", "Output"

Pools = Annotated[
    list[str],
    typer.Argument(
        metavar="POOL...", help="File, folder or glob of JSONL, JSON, Parquet or Arrow, or a Hub dataset id."
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; put in place when whole.", rich_help_panel=_OUT)]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier result at --out.", rich_help_panel=_OUT)]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.", rich_help_panel=_OUT)
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        help="Where pools and scores are kept. [default: SELECT2REASON_CACHE, or the user's cache folder]",
        rich_help_panel=_READ,
    ),
]
LayoutName = Annotated[
    str | None, typer.Option("--layout", help="Force a layout by name instead of finding it.", rich_help_panel=_READ)
]
Columns = Annotated[
    str | None,
    typer.Option(
        help="Which column plays which role: `question=Q,response=R`; also trace, answer, gold, category, correct.",
        rich_help_panel=_READ,
    ),
]
Split = Annotated[
    str | None, typer.Option(help="Split of a folder or Hub dataset. [default: train]", rich_help_panel=_READ)
]
Config = Annotated[str | None, typer.Option(help="Config of a Hub dataset.", rich_help_panel=_READ)]
Revision = Annotated[str | None, typer.Option(help="Revision of a Hub dataset.", rich_help_panel=_READ)]
MaxBad = Annotated[
    float,
    typer.Option(
        min=0, max=1, help="Stop where more than this part of the rows cannot be used.", rich_help_panel=_READ
    ),
]
TokenizerName = Annotated[
    str,
    typer.Option(
        "--tokenizer", help="`builtin` (Qwen2.5), a tokenizer.json or its folder, or a Hub id.", rich_help_panel=_SCORE
    ),
]
Difficulty = Annotated[
    str, typer.Option(help="`builtin` or `column:NAME` (a number per row, higher = harder).", rich_help_panel=_SCORE)
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"select2reason {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command(
    epilog="""
Examples:

`select2reason select open-r1/OpenR1-Math-220k --out openr1-10pct`

`select2reason select traces/*.jsonl --rows 1000 --out best-1000`

`select2reason select pool.parquet --difficulty column:difficulty --weight 0.5 --out half-half`
"""
)
def select(
    pools: Pools,
    out: Out,
    fraction: Annotated[
        str | None,
        typer.Option(help="Part of the eligible rows: 0.10 or 10%. [default: 0.10]", rich_help_panel=_CHOOSE),
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, max=_MOST, help="This many rows.", rich_help_panel=_CHOOSE)] = None,
    token_budget: Annotated[
        int | None,
        typer.Option(min=1, max=_MOST, help="As many rows as fit in this many tokens.", rich_help_panel=_CHOOSE),
    ] = None,
    strategy: Annotated[
        Literal["joint", "random", "diverse", "longest", "shortest", "middle", "hardest", "rethinking"],
        typer.Option(help="The paper's joint ranker, or what it is compared with.", rich_help_panel=_CHOOSE),
    ] = "joint",
    weight: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Weight of difficulty against length in the joint rank.", rich_help_panel=_CHOOSE
        ),
    ] = 0.25,
    seed: Annotated[
        int, typer.Option(min=0, max=_MOST, help="Seed of random and diverse.", rich_help_panel=_CHOOSE)
    ] = 0,
    preset: Annotated[
        Literal["safe", "paper"],
        typer.Option(
            help="`safe` leaves out rows that cannot train well; `paper` does as the paper did.", rich_help_panel=_RULES
        ),
    ] = "safe",
    cutoff_len: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=_MOST,
            help="Leave out examples longer than this many tokens; 0 = off. [default: 16384, paper: 0]",
            rich_help_panel=_RULES,
        ),
    ] = None,
    per_question: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=_MOST,
            help="Most examples of one question; 0 = off. [default: 1, paper: 0]",
            rich_help_panel=_RULES,
        ),
    ] = None,
    verify: Annotated[
        Literal["auto", "pool", "off"],
        typer.Option(
            help="Leave out wrong answers: by the pool's flags where it has them, only with them, or not.",
            rich_help_panel=_RULES,
        ),
    ] = "auto",
    keep: Annotated[
        str,
        typer.Option(help="Reasons for which no row is left out, e.g. `cut_off,duplicate`.", rich_help_panel=_RULES),
    ] = "",
    difficulty: Difficulty = "builtin",
    tokenizer: TokenizerName = "builtin",
    layout: LayoutName = None,
    columns: Columns = None,
    split: Split = None,
    config: Config = None,
    revision: Revision = None,
    max_bad_fraction: MaxBad = 0.05,
    cache_dir: CacheDir = None,
    carry: Annotated[
        str,
        typer.Option(help="The pool's own columns in the selection: all, none, or `COL,...`.", rich_help_panel=_OUT),
    ] = "all",
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Choose the best rows of a pool: reasons for every row, ready to train on."""
    from select2reason import pipeline

    outcome = pipeline.select(
        _pool_settings(pools, layout, columns, split, config, revision, max_bad_fraction, cache_dir, carry),
        _score_settings(tokenizer, difficulty),
        _select_settings(
            fraction, rows, token_budget, strategy, weight, seed, preset, cutoff_len, per_question, verify, keep
        ),
        out,
        force=force,
        command=_command(),
    )
    _print_outcome(outcome, as_json=as_json)


@app.command(epilog="Example: `select2reason analyze traces.parquet --out study`")
def analyze(
    pools: Pools,
    out: Out,
    cutoff_len: Annotated[
        int,
        typer.Option(
            min=0, max=_MOST, help="Count examples longer than this many tokens; 0 = do not.", rich_help_panel=_SCORE
        ),
    ] = 16_384,
    difficulty: Difficulty = "builtin",
    tokenizer: TokenizerName = "builtin",
    layout: LayoutName = None,
    columns: Columns = None,
    split: Split = None,
    config: Config = None,
    revision: Revision = None,
    max_bad_fraction: MaxBad = 0.05,
    cache_dir: CacheDir = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """The rethinking study and the health of a pool, without choosing."""
    from select2reason import pipeline

    study = pipeline.analyze(
        _pool_settings(pools, layout, columns, split, config, revision, max_bad_fraction, cache_dir, "all"),
        _score_settings(tokenizer, difficulty),
        out,
        cutoff_tokens=cutoff_len,
        force=force,
        command=_command(),
    )
    if as_json:
        typer.echo(json.dumps({"out": str(out), **study}))
    else:
        _print_paths(out, ("report.html", "study.json", "scores.parquet", "manifest.json"))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demo's pool and selection.")] = Path("select2reason-demo"),
    seed: Annotated[int, typer.Option(min=0, max=_MOST, help="Seed of the demo's pool.")] = 0,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a small pool and select from it: the first thing to run."""
    from select2reason import pipeline

    outcome = pipeline.demo(out, seed=seed, force=force)
    _print_outcome(outcome, as_json=as_json)
    if not as_json:
        typer.echo(_after_demo(out))


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all pools and scores.")] = False,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """List what is kept for the next run, or clear it."""
    from select2reason import cache as kept

    root = kept.cache_root(cache_dir)
    if clear:
        freed = kept.clear(root)
        typer.echo(json.dumps({"freed_bytes": freed}) if as_json else f"cleared {root}: {freed / 1e6:,.1f} MB")
        return
    pools = kept.list_pools(root)
    if as_json:
        typer.echo(
            json.dumps({"root": str(root), "pools": [asdict(pool) | {"path": str(pool.path)} for pool in pools]})
        )
        return
    for pool in pools:
        typer.echo(f"{pool.path}  {pool.size_bytes / 1e6:,.1f} MB  {', '.join(pool.scores) or 'no scores'}")
    typer.echo(f"{len(pools)} pools in {root}")


# --- options to settings --------------------------------------------------------------------------------------------


def _pool_settings(
    pools: list[str],
    layout: str | None,
    columns: str | None,
    split: str | None,
    config: str | None,
    revision: str | None,
    max_bad_fraction: float,
    cache_dir: Path | None,
    carry: str,
) -> PoolSettings:
    from select2reason.layouts import parse_columns
    from select2reason.recipe import PoolSettings

    return PoolSettings(
        pools=tuple(pools),
        split=split,
        config=config,
        revision=revision,
        layout=layout,
        columns=parse_columns(columns) if columns is not None else {},
        max_bad_fraction=max_bad_fraction,
        cache_dir=cache_dir,
        carry=cast("Literal['all', 'none']", carry) if carry in ("all", "none") else _words(carry),
    )


def _score_settings(tokenizer: str, difficulty: str) -> ScoreSettings:
    from select2reason.recipe import ScoreSettings

    return ScoreSettings(tokenizer=tokenizer, difficulty=difficulty)


def _select_settings(
    fraction: str | None,
    rows: int | None,
    token_budget: int | None,
    strategy: Strategy,
    weight: float,
    seed: int,
    preset: Preset,
    cutoff_len: int | None,
    per_question: int | None,
    verify: Verify,
    keep: str,
) -> SelectSettings:
    from select2reason.recipe import PAPER_FRACTION, SelectSettings
    from select2reason.selection import ROW_RULES, parse_fraction

    if sum(size is not None for size in (fraction, rows, token_budget)) > 1:
        raise UsageError("give only one of --fraction, --rows and --token-budget")
    if unknown := [reason for reason in _words(keep) if reason not in ROW_RULES]:
        hint = (
            "for same_question use --per-question 0"
            if "same_question" in unknown
            else f"it knows {', '.join(ROW_RULES)}"
        )
        raise UsageError(f"--keep knows no reason {', '.join(unknown)}; {hint}")
    sized = rows is not None or token_budget is not None
    part: Decimal | None = None if sized else (parse_fraction(fraction) if fraction is not None else PAPER_FRACTION)
    return SelectSettings(
        fraction=part,
        rows=rows,
        token_budget=token_budget,
        strategy=strategy,
        weight=weight,
        seed=seed,
        preset=preset,
        cutoff_len=cutoff_len,
        per_question=per_question,
        verify=verify,
        keep=_words(keep),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _command() -> str:
    return shlex.join(["select2reason", *sys.argv[1:]])


# --- printing -------------------------------------------------------------------------------------------------------


def _print_outcome(outcome: SelectOutcome, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**asdict(outcome), "out": str(outcome.out)}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=None, box=None, pad_edge=False)
    table.add_column("")
    table.add_column("rows", justify="right")
    table.add_column("tokens", justify="right")
    table.add_row("pool", f"{outcome.pool_rows:,}", f"{outcome.pool_tokens:,}")
    table.add_row("eligible", f"{outcome.eligible:,}", f"{outcome.eligible_tokens:,}")
    table.add_row("[bold]selected[/]", f"[bold]{outcome.selected:,}[/]", f"[bold]{outcome.selected_tokens:,}[/]")
    for reason, count in outcome.counts.items():
        if reason != "selected":
            table.add_row(f"  {reason}", f"{count:,}", "")
    Console(highlight=False).print(table)
    for note in outcome.notes:
        typer.echo(f"note: {note}")
    _print_paths(
        outcome.out, ("data", "README.md", "scores.parquet", "manifest.json", "report.html", "quarantine.jsonl")
    )


def _print_paths(out: Path, names: tuple[str, ...]) -> None:
    typer.echo("wrote")
    for name in names:
        typer.echo(f"  {out / name}")


def _after_demo(out: Path) -> str:
    chosen = out / "selection"
    again = shlex.join(
        ["select2reason", "select", str(out / "pool.jsonl"), "--weight", "0.5", "--out", str(out / "half")]
    )
    return f"""
Look at it:
  {chosen / "report.html"}     why these rows, and what was left out (open it in a browser)
  {chosen / "scores.parquet"}  every example of the pool: scores, ranks, reason
  {out / "pool.jsonl"}  the pool it chose from, made just now
Try another weight, and see that nothing is scored again:
  {again}
Then your own pool:
  select2reason select YOUR-POOL --out best"""


_KEPT = "a pool that was read to its end, and finished shards, are kept"


class _InterruptedError(BaseException):
    """SIGINT or SIGTERM; typer would end on a KeyboardInterrupt without a word."""


def main() -> None:
    """Run the command line; errors on purpose are one line, and the exit code says whose turn it is."""
    from select2reason.progress import fail

    _keep_memory_flat()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
    except Select2ReasonError as error:
        fail(error)
        raise SystemExit(2 if isinstance(error, UsageError) else 1) from None
    except OSError as error:
        fail(RunError(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}; {_fix_of(error)}"))
        raise SystemExit(1) from None
    except Exception as error:
        if not type(error).__module__.startswith(("polars", "pyarrow")):
            raise
        fail(RunError(f"{str(error).partition(chr(10))[0]}; mend it and run the same command again"))
        raise SystemExit(1) from None
    except _InterruptedError:
        fail(RunError(f"interrupted; run the same command again: {_KEPT}"))
        sys.stdout.flush()
        os._exit(130)  # all is put away; a thread that was just being started would never be told to end
    finally:
        gc.freeze()  # spares the interpreter its last search for cycles, 0.2 s


def _interrupt(*_: object) -> None:
    raise _InterruptedError


def _keep_memory_flat() -> None:
    """One malloc arena, for Arrow too, and one of Polars' jemalloc: with one per thread, memory freed by one thread is
    not used by the next. Free memory is given back after each shard, not page by page all along; and Python's search
    for cycles, of which columns make none, looks at fewer objects less often."""
    import ctypes

    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("_RJEM_MALLOC_CONF", "narenas:1,dirty_decay_ms:150,muzzy_decay_ms:150")
    gc.set_threshold(50_000, 20, 100)

    most_arenas, trim_threshold, mmap_threshold = -8, -1, -3  # of glibc's malloc.h
    with suppress(AttributeError, OSError):  # no glibc: its allocator is another one
        malloc = ctypes.CDLL(None).mallopt
        malloc(most_arenas, 1)
        malloc(trim_threshold, 512 << 20)
        malloc(mmap_threshold, 32 << 20)


def _fix_of(error: OSError) -> str:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"free some space and run the same command again: {_KEPT}"
    return f"mend it and run the same command again: {_KEPT}"
