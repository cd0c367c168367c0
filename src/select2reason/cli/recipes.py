"""`run`: a recipe from its first stage to its report; and `tiny`, what the trial recipe is made of."""

from __future__ import annotations

from contextlib import contextmanager
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from select2reason.cli import interrupts
from select2reason.cli.app import app
from select2reason.cli.choosing import Choosing
from select2reason.cli.groups import taken
from select2reason.cli.model_options import Checking, Engine, Judging
from select2reason.cli.options import MOST, OUT, AsJson, Machines, Reading, echo, print_json, print_paths, words
from select2reason.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from select2reason.recipe import Stage

_OF_FOLDERS = ("reward:", "rollout:")  # difficulties that come out of a folder
_PLACES = (Path(__file__).parents[1] / "recipes", Path(__file__).parents[3] / "recipes")  # installed, or a checkout's


def _names() -> list[str]:
    return sorted({file.stem for place in _PLACES for file in place.glob("*.toml")})


@app.command(
    epilog="""
Examples:

`select2reason run tiny`

`select2reason run openr1-10pct --out runs/openr1`

`select2reason run openr1-baselines --show > mine.toml`
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
    show: Annotated[
        bool, typer.Option("--show", help="Print the recipe, to begin one of your own; run nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a recipe: select, train, evaluate, report; what is done is not done again."""
    from select2reason.recipe import read_recipe
    from select2reason.results import FILES
    from select2reason.road import run_recipe

    file = _file(recipe)
    if show and as_json:
        raise UsageError("--show prints the recipe as it is, in TOML; leave --json out")
    if show:
        typer.echo(file.read_text(encoding="utf-8"), nl=False)
        return
    folder = out or Path("runs") / file.stem
    done = run_recipe(read_recipe(file, folder), folder, check=_check)
    if done.code == interrupts.CODE:  # the stage alone was told to end
        raise interrupts.InterruptedRunError
    if done.code:
        raise typer.Exit(done.code)
    if as_json:
        print_json(done)
        return
    echo((folder / FILES[0]).read_text(encoding="utf-8"))
    echo(f"{done.done_now} stages done now, {done.done_before} before")
    print_paths([folder / name for name in FILES])


def _file(recipe: str) -> Path:
    if Path(recipe).is_file():
        return Path(recipe)
    found = [place / f"{recipe}.toml" for place in _PLACES if (place / f"{recipe}.toml").is_file()]
    if not found:
        raise UsageError(f"no recipe {recipe}; give a TOML file, or one of {', '.join(_names())}")
    return found[0]


def _check(stage: Stage) -> None:
    """Whether its command takes these words, and knows what they name: they are parsed, and nothing is run."""
    from typer.main import get_command

    from select2reason.cli import whole_app

    name, *rest = stage.words
    command = get_command(whole_app()).commands[name]  # type: ignore[attr-defined]
    with _telling(stage):
        given = command.make_context(name, list(rest), resilient_parsing=False).params
    if name == "select":
        _check_selecting(stage, given)
    if name == "train":
        _check_training(stage, given)
    if name == "evaluate":
        with _telling(stage):
            taken(Engine, given).settings()
        for benchmark in (one for part in given["benchmarks"] or [] for one in words(part)):
            _check_benchmark(stage, benchmark)


@contextmanager
def _telling(stage: Stage) -> Iterator[None]:
    """What is wrong with a command's words is told with its stage."""
    from typer.exceptions import TyperException

    try:
        yield
    except (UsageError, TyperException) as error:
        told = error.format_message() if isinstance(error, TyperException) else error
        raise UsageError(f"{stage.name} cannot be run: {told}") from error


def _check_training(stage: Stage, given: Mapping[str, Any]) -> None:
    """The same of a training; a model that is no Hub id is a folder."""
    from select2reason.cli.exporting import Extending
    from select2reason.cli.training import Computing, Tuning
    from select2reason.hub import is_hub_id

    with _telling(stage):
        taken(Tuning, given).settings(given["model"], taken(Extending, given))
        taken(Computing, given).settings()
    if not is_hub_id(given["model"]):
        _check_made(stage, given["model"])


def _check_selecting(stage: Stage, given: Mapping[str, Any]) -> None:
    """Whether what its options say can be, each by itself and together."""
    from select2reason.difficulty import find_estimator
    from select2reason.hub import is_hub_id

    checking, difficulty = taken(Checking, given), given["difficulty"]
    with _telling(stage):
        scores = checking.score_settings(given["tokenizer"], difficulty, taken(Engine, given), taken(Judging, given))
        taken(Choosing, given).settings(checking, given["strategy"])
        taken(Reading, given).settings(given["pools"], ray=taken(Machines, given).settings(), carry=given["carry"])
        if scores.engine is None and not difficulty.startswith(_OF_FOLDERS):  # which are opened when their turn comes
            find_estimator(difficulty)
    for pool in given["pools"]:
        if not is_hub_id(pool) and not _names_some(pool):
            _check_made(stage, pool)
    if difficulty.startswith(_OF_FOLDERS):
        _check_made(stage, difficulty.partition(":")[2])


def _check_benchmark(stage: Stage, name: str) -> None:
    from select2reason.evaluation.problems import known
    from select2reason.hub import is_hub_id

    if known(name) is None and not is_hub_id(name) and not has_magic(name):
        _check_made(stage, name)


def _check_made(stage: Stage, path: str) -> None:
    """A path that is not there yet may be made by an earlier stage, below the folder of the run."""
    of_run = stage.made.parents[1 if stage.name.startswith("select") else 2]  # OUT/select/NAME, OUT/train/NAME/FILE
    try:
        there = Path(path).expanduser()
        if (path and there.exists()) or there.resolve().is_relative_to(of_run.resolve()):
            return
    except (OSError, RuntimeError, ValueError):  # a name too long, no such user's home
        pass
    raise UsageError(f"{stage.name} cannot be run: there is no {path or 'pool without a name'}")


def _names_some(pool: str) -> bool:
    """Whether a glob names anything."""
    from select2reason.files import named

    return has_magic(pool) and any(True for _ in named([pool]))


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
