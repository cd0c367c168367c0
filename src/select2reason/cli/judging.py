"""`difficulty` and `rollout`: how hard questions are, and how it was found out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from select2reason.cli.app import app
from select2reason.cli.groups import grouped
from select2reason.cli.model_options import SAMPLE, Drawing, Engine, Judging, judge_options
from select2reason.cli.options import (
    MOST,
    AsJson,
    CacheDir,
    Difficulty,
    Force,
    Machines,
    OutFile,
    Questions,
    TableReading,
    echo,
    print_json,
    print_paths,
)


@app.command(
    epilog="""
Examples:

`select2reason difficulty questions.jsonl --out scored.parquet`

`select2reason difficulty math500.jsonl --labels level --out checked.parquet`

`select2reason difficulty questions.parquet --difficulty judge --model Qwen/Qwen2.5-7B-Instruct --out judged.parquet`
"""
)
@grouped
def difficulty(
    questions: Questions,
    out: OutFile,
    reading: TableReading,
    engine: Engine,
    judging: Judging,
    machines: Machines,
    difficulty: Difficulty = "builtin",
    labels: Annotated[
        str | None,
        typer.Option(
            help="Column of known difficulties (higher = harder): print how well the scores agree with it.",
            rich_help_panel="Checking",
        ),
    ] = None,
    pass_rates: Annotated[
        bool,
        typer.Option("--pass-rates", help="The labels are pass rates: lower = harder.", rich_help_panel="Checking"),
    ] = False,
    cache_dir: CacheDir = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Score a table of questions: its own columns plus `difficulty`, in its own order."""
    from select2reason.cache import cache_root, refuse_unwritable
    from select2reason.difficulty import find_estimator
    from select2reason.difficulty.table import assess
    from select2reason.tables import check_file

    check_file(out, force=force, reads=questions)
    settings, prompt = judge_options(difficulty, engine, judging)
    refuse_unwritable(root := cache_root(cache_dir))
    outcome = assess(
        reading.table(questions),
        find_estimator(difficulty, engine=settings, prompt=prompt),
        out,
        cache_root=root,
        labels=labels,
        pass_rates=pass_rates,
        ray=machines.settings(),
        force=force,
    )
    if as_json:
        print_json(outcome)
        return
    echo(f"{outcome.rows:,} questions, {outcome.rows - outcome.scored:,} without a difficulty")
    if outcome.validation is not None:
        from select2reason.difficulty.validation import render

        echo(render(outcome.validation))
    for note in outcome.notes:
        echo(f"note: {note}")
    print_paths([out])


@app.command(
    epilog="""
Examples:

`select2reason rollout pool.parquet --sample 5000 --model Qwen/Qwen2.5-Math-7B-Instruct --backend vllm --out rolled`

`select2reason rollout questions.jsonl -n 16 --base-url http://127.0.0.1:8000/v1 --model NAME --out rolled`
"""
)
@grouped
def rollout(
    questions: Questions,
    out: Annotated[Path, typer.Option("--out", help="Folder of answers and pass rates; run again, it goes on.")],
    reading: TableReading,
    engine: Engine,
    drawing: Drawing,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST, help="Only this many questions, of every difficulty alike.", rich_help_panel=SAMPLE
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let a model answer every question several times, grade the answers, and keep both."""
    from dataclasses import replace

    from select2reason.difficulty.rollout import COMPLETIONS, DEFAULT, RATES, roll_out

    outcome = roll_out(
        reading.table(questions),
        out,
        engine=engine.settings(),
        sampling=replace(DEFAULT, seed=drawing.seed, **drawing.given()),  # type: ignore[arg-type]
        sample=sample,
        system=drawing.system_text,
    )
    if as_json:
        print_json(outcome)
        return
    mean = "none" if outcome.mean_pass_rate is None else f"{outcome.mean_pass_rate:.3f}"
    echo(f"{outcome.questions:,} questions, {outcome.answers:,} answers ({outcome.drawn:,} new)")
    echo(f"pass rate: mean {mean} over {outcome.judged:,} questions; {outcome.never_solved:,} never solved")
    for note in outcome.notes:
        echo(f"note: {note}")
    print_paths([out / RATES, out / COMPLETIONS])
