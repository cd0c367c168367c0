"""`reward fit` and `reward eval`: a model that tells pass rates from questions, and how well it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from select2reason.cli.app import app
from select2reason.cli.groups import grouped
from select2reason.cli.options import MOST, AsJson, Force, Out, TableReading, echo, print_json, print_paths
from select2reason.errors import UsageError

_FIT = "Fitting a language model (--base hf:MODEL)"
reward = typer.Typer(no_args_is_help=True, help="Fit or check a model that tells pass rates from questions.")
app.add_typer(reward, name="reward")

Rated = Annotated[
    list[str],
    typer.Argument(
        metavar="TABLE...", help="Questions with pass rates: a table with a column pass_rate, or a folder of rollouts."
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ... [default: a GPU where there is one]")]


@reward.command(
    epilog="""
Examples:

`select2reason reward fit rolled --out reward`

`select2reason reward fit rates.parquet --columns pass_rate=rate --base hf:Qwen/Qwen2.5-1.5B --out reward`

`select2reason select pool.parquet --difficulty reward:reward --out best`
"""
)
@grouped
def fit(
    table: Rated,
    out: Out,
    reading: TableReading,
    base: Annotated[str, typer.Option(help="`ngram` (seconds on a CPU), or `hf:MODEL`.")] = "ngram",
    holdout: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="Part of the questions that only measures the model.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Seed of split and fit.")] = 0,
    epochs: Annotated[int, typer.Option(min=0, help="0: the head alone.", rich_help_panel=_FIT)] = 3,
    lora: Annotated[
        bool, typer.Option("--lora", help="Fit low-rank adapters, merged in the end.", rich_help_panel=_FIT)
    ] = False,
    learning_rate: Annotated[
        float | None, typer.Option(min=0, help="[default: 5e-5, --lora: 2e-4]", rich_help_panel=_FIT)
    ] = None,
    layers: Annotated[
        int | None, typer.Option(min=1, help="Keep only the first so many layers.", rich_help_panel=_FIT)
    ] = None,
    batch_tokens: Annotated[int, typer.Option(min=1, help="Tokens of one step.", rich_help_panel=_FIT)] = 2048,
    max_length: Annotated[int, typer.Option(min=8, help="Tokens read of a question.", rich_help_panel=_FIT)] = 1024,
    device: Device = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Fit a reward model, and measure it on questions that it never saw."""
    from select2reason.backends.reward_training import Tuning
    from select2reason.difficulty.reward_fit import fit_reward, render_report
    from select2reason.difficulty.reward_folder import CARD

    tuning = Tuning(
        epochs=epochs,
        batch_tokens=batch_tokens,
        learning_rate=learning_rate,
        lora=lora,
        layers=layers,
        max_length=max_length,
        device=device,
    )
    if base == "ngram" and tuning != Tuning():
        raise UsageError("--base ngram has no such settings; add --base hf:MODEL, or leave them out")
    report = fit_reward(
        reading.rated(table),
        out,
        base=base,
        holdout=holdout,
        seed=seed,
        tuning=None if base == "ngram" else tuning,
        force=force,
    )
    if as_json:
        print_json(report, out=out)
        return
    echo(render_report(report))
    print_paths([out, out / CARD])


@reward.command("eval", epilog="Example: `select2reason reward eval reward other-rates.parquet`")
@grouped
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `reward fit` wrote.")],
    table: Rated,
    reading: TableReading,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Check a reward model on other questions; those that it was fitted on are left out."""
    from select2reason.difficulty.reward_fit import evaluate_reward, render_report

    report = evaluate_reward(folder, reading.rated(table), device=device)
    if as_json:
        print_json(report)
        return
    echo(render_report(report))
