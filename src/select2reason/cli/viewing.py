"""`view`: the explorer in the browser."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from select2reason.cli.app import app
from select2reason.cli.exporting import SelectionFolder
from select2reason.cli.options import AsJson, CacheDir, echo, print_json
from select2reason.errors import UsageError

if TYPE_CHECKING:
    from select2reason.view import Recorded

_NOT_BY_A_FILE = ("trust_remote_code", "engine", "ray_address", "ray_storage")
"""Options of a recorded command that are not followed: whose code runs, and on which machines, is for whoever types it
(what is chosen does not depend on Ray)."""


@app.command(
    epilog="""
Examples:

`select2reason view openr1-10pct`

`select2reason view openr1-10pct --no-browser --port 9000`

That one on another machine; then here `ssh -L 9000:127.0.0.1:9000 MACHINE`, and open the address that it printed.
"""
)
def view(
    selection: SelectionFolder,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port on 127.0.0.1. [default: the first free one from 8765]")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address and open no browser.")] = False,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Look at a selection in the browser: other weights and sizes at once, every example read as it is."""
    from select2reason.view import Answers, explore, read_manifest

    recorded = _recorded(read_manifest(selection), cache_dir)
    used = Path(str(recorded.options.get("cache_dir", "")))
    explored = explore(selection, used if used.is_dir() and used != Path() else cache_dir)
    answers = Answers(explored)
    answers.prepare()

    def opened(address: str) -> None:
        if as_json:
            print_json({"address": address, "rows": explored.pool.rows})
        else:
            echo(f"{explored.pool.rows:,} examples; open\n  {address}\nend with Ctrl-C")
        if not no_browser:
            _open_browser(address, door)

    with TemporaryDirectory(prefix="select2reason-") as door:
        from select2reason.view.server import serve  # beside the preparing

        serve(answers, recorded, port=port, opened=opened)


def _open_browser(address: str, door: str) -> None:
    """By way of a page that only this user can read: what a browser is started with, every user can see."""
    import webbrowser

    page = Path(door) / "view.html"
    page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">', encoding="utf-8")
    webbrowser.open(page.as_uri())


def _recorded(manifest: Mapping[str, Any], cache_dir: Path | None) -> Recorded:
    """How a selection was made, by its command. A cache that is named now takes the place of the one named then."""
    from select2reason.view import Recorded

    cached = {} if cache_dir is None else {"cache_dir": str(cache_dir)}
    command, rows = str(manifest.get("command") or ""), int(manifest["selected"])
    if not command:
        return Recorded(
            (), cached, rows, "it was made through Python; make the new one there: SelectSettings(weight=...)"
        )
    try:
        pools, options = _parsed(shlex.split(command))
    except (ValueError, TyperException, UsageError) as error:
        said = getattr(error, "message", str(error))
        return Recorded((), cached, rows, f"its command is not understood ({said}); run select by hand")
    return Recorded(pools, options | cached, rows)


def _parsed(words: list[str]) -> tuple[tuple[str, ...], dict[str, object]]:
    """Pools and given options of a `select`, the options by their long names with underscores."""
    from select2reason.cli import whole_app

    if words[1:2] != ["select"]:
        raise ValueError("it is no select")
    command = typer.main.get_command(whole_app()).commands["select"]  # type: ignore[attr-defined]
    context = command.make_context("select", words[2:])
    options: dict[str, object] = {}
    pools: tuple[str, ...] = ()
    for parameter in command.params:
        if context.get_parameter_source(parameter.name).name != "COMMANDLINE":
            continue
        value = context.params[parameter.name]
        if parameter.param_type_name == "argument":
            pools = tuple(map(str, value))
        else:
            name = max(parameter.opts, key=len).removeprefix("--").replace("-", "_")
            options[name] = str(value) if isinstance(value, Path) else value
    return pools, {name: value for name, value in options.items() if name not in _NOT_BY_A_FILE}
