"""The program that the commands belong to."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperGroup

from select2reason import __version__

HOMES = {
    "demo": "select",
    "select": "select",
    "view": "viewing",
    "analyze": "select",
    "compare": "comparing",
    "score": "select",
    "difficulty": "judging",
    "rollout": "judging",
    "reward": "reward",
    "export": "exporting",
    "extend": "exporting",
    "train": "training",
    "evaluate": "evaluating",
    "grade": "grading",
    "run": "recipes",
    "cache": "cached",
    "tiny": "recipes",
}
"""Every command, in the order that they are used in, and the module that adds it to the program."""


class _AlongTheRoad(TyperGroup):
    """Commands in the order that they are used in."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return sorted(super().list_commands(ctx), key=list(HOMES).index)


app = typer.Typer(
    name="select2reason",
    cls=_AlongTheRoad,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Choose the best tenth of a pool of long chain-of-thought examples (Select2Reason, arXiv 2505.17266).",
    epilog="Start with: `select2reason demo`",
)


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
