"""`evaluate`: benchmarks put to a model, and one model against another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from select2reason.cli.app import app
from select2reason.cli.groups import grouped
from select2reason.cli.model_options import Drawing, Engine
from select2reason.cli.options import MOST, READ, AsJson, echo, print_json, print_paths, words
from select2reason.errors import UsageError


def _names() -> list[str]:
    from select2reason.benchmarks import BENCHMARKS

    return list(BENCHMARKS)


@app.command(
    epilog="""
Examples:

`select2reason evaluate --model out/tuned --backend vllm --benchmarks aime24,math500 --out eval/tuned`

`select2reason evaluate --model NAME --base-url http://127.0.0.1:8000/v1 --benchmarks amc23 --data bench --out eval/amc`

`select2reason evaluate --model out/tuned --benchmarks math500 --out eval/tuned --against eval/base`

`select2reason evaluate --from-samples eval/tuned --out eval/tuned --against eval/base`
"""
)
@grouped
def evaluate(
    out: Annotated[Path, typer.Option("--out", help="Folder of samples and figures; run again, it goes on.")],
    engine: Engine,
    drawing: Drawing,
    benchmarks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...",
            help="Benchmarks by name (aime24, aime25, amc23, math500, olympiadbench, gaokao2023en, gaokao2024, "
            "gaokao_math_qa, kaoyan, knights_knaves_3ppl, knights_knaves_4ppl, knights_knaves_5ppl, mmlu_pro), or "
            "tables of questions with gold answers: a file, a folder or a Hub id.",
            autocompletion=_names,
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Compare with another evaluation, problem by problem, with intervals."),
    ] = None,
    from_samples: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Ask no model: make all figures anew from the samples kept in this folder."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the benchmarks' files, NAME.jsonl or .parquet. [default: the Hub]",
            rich_help_panel=READ,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Columns of a table of your own: `question=Q,gold=G,options=O`.", rich_help_panel=READ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Only the first problems of each.", rich_help_panel=READ)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put benchmarks to a model: pass@1 and maj@n with standard errors, every sample kept."""
    from select2reason.evaluation import Overrides, read_problems, regrade
    from select2reason.evaluation import evaluate as run
    from select2reason.evaluation.problems import known
    from select2reason.evaluation.results import FILES, render
    from select2reason.layouts import parse_columns

    names = [name for given in benchmarks or [] for name in words(given)]
    if from_samples is not None:
        unused = (data, columns, limit) != (None, None, None)
        if engine != Engine() or drawing != Drawing() or unused:
            raise UsageError("--from-samples asks no model: leave out what says how to ask one, or leave it out")
        done = regrade(from_samples, out, names=names, against=against)
    else:
        if not names:
            kept = f"; or take the samples that are kept: --from-samples {out}" if out.is_dir() else ""
            raise UsageError(f"name the benchmarks: --benchmarks aime24,math500, or a table of your own{kept}")
        if data is not None and len(names) > 1 and Path(data).is_file():
            raise UsageError("--data is one file, but several benchmarks are named; give the folder of their files")
        settings = engine.settings()
        roles = parse_columns(columns) if columns is not None else {}
        found = [read_problems(name, data=data, columns=roles, limit=limit) for name in names]
        if data is not None and not any(map(known, names)):
            raise UsageError(f"--data is where benchmarks are; {names[0]} is a table of your own: leave --data out")
        overrides = Overrides(**drawing.given(), seed=drawing.seed)  # type: ignore[arg-type]
        done = run(found, out, engine=settings, overrides=overrides, system=drawing.system_text, against=against)
    if as_json:
        print_json(done)
        return
    echo(render(done))
    print_paths([out / name for name in FILES])
