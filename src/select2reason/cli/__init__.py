"""The command line: one command per stage. It parses, calls and prints; the work is elsewhere."""

from __future__ import annotations

import os
import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from select2reason.cli.app import HOMES, app
from select2reason.cli.running import run

if TYPE_CHECKING:
    import typer


def main() -> None:
    """Run the command line. Of a command that is named first of all, as commands are, its own module is loaded. The
    program has one name, also where it runs as `python -m select2reason`: a shell completes by it. Where a terminal
    does not know its width it says 0, and nothing would be seen."""
    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]
    home = HOMES.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if home:
        _load(home)
    run(partial(app if home else whole_app(), prog_name=app.info.name))


def whole_app() -> typer.Typer:
    """The program with all of its commands."""
    for home in dict.fromkeys(HOMES.values()):
        _load(home)
    return app


def _load(home: str) -> None:
    import_module(f"select2reason.cli.{home}")
