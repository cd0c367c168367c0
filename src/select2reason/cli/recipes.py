"""`run`: a recipe from its first stage to its report; and `tiny`, what the trial recipe is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from select2reason.cli.app import app
from select2reason.cli.options import MOST, OUT, AsJson, print_json, print_paths
from select2reason.errors import OutputError, UsageError

_PLACES = (Path(__file__).parents[1] / "recipes", Path(__file__).parents[3] / "recipes")  # installed, or a checkout's


def _names() -> list[str]:
    return sorted({file.stem for place in _PLACES for file in place.glob("*.toml")})


@app.command(
    epilog="""
Examples:

`select2reason run tiny`

`select2reason run recipes/openr1-10pct.toml --out runs/openr1`
"""
)
def run(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="A TOML file, or one that comes along: tiny, openr1-10pct, openr1-baselines, chinese-110k.",
            autocompletion=_names,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the run. [default: runs/NAME]", rich_help_panel=OUT)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe: select, train, evaluate, report; what is done is not done again."""
    from select2reason.recipe import read_recipe
    from select2reason.results import FILES
    from select2reason.road import run_recipe

    file = _file(recipe)
    folder = out or Path("runs") / file.stem
    done = run_recipe(read_recipe(file, folder), folder, check=_check)
    if done.code:
        raise typer.Exit(done.code)
    if as_json:
        print_json(done)
        return
    typer.echo((folder / FILES[0]).read_text(encoding="utf-8"))
    typer.echo(f"{done.done_now} stages done now, {done.done_before} before")
    print_paths([folder / name for name in FILES])


def _file(recipe: str) -> Path:
    if Path(recipe).is_file():
        return Path(recipe)
    found = [place / f"{recipe}.toml" for place in _PLACES if (place / f"{recipe}.toml").is_file()]
    if not found:
        raise UsageError(f"no recipe {recipe}; give a TOML file, or one of {', '.join(_names())}")
    return found[0]


def _check(words: Sequence[str]) -> None:
    """Whether a command takes these words: they are parsed, and nothing is run."""
    from typer.exceptions import TyperException
    from typer.main import get_command

    name, *rest = words
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    try:
        command.make_context(name, list(rest), resilient_parsing=False)
    except TyperException as error:
        raise UsageError(f"the recipe's {name} cannot be run: {error.format_message()}") from error


@app.command(hidden=True)
def tiny(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    examples: Annotated[int, typer.Option(min=1, max=MOST, help="Examples of the pool.")] = 400,
    problems: Annotated[int, typer.Option(min=1, max=MOST, help="Problems of the benchmark.")] = 20,
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Seed of all of it.")] = 0,
) -> None:
    """Make a pool, a benchmark and a small model of random weights, for a trial."""
    from select2reason.backends.loading import needs
    from select2reason.demo.trial import make_trial
    from select2reason.export import whole_folder

    needs("torch", "transformers")
    if out.exists():
        raise OutputError(f"{out} exists; choose another --out")
    with whole_folder(out, force=False, kind="trial") as folder:
        make_trial(folder, examples=examples, problems=problems, seed=seed)
    print_paths([out])
