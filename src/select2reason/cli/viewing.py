"""`view`: the explorer in the browser."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from select2reason.cli.app import app
from select2reason.cli.exporting import SelectionFolder
from select2reason.cli.options import AsJson, CacheDir, print_json

if TYPE_CHECKING:
    from select2reason.view import Recorded


@app.command(
    epilog="""
Examples:

`select2reason view openr1-10pct`

`select2reason view openr1-10pct --no-browser --port 9000` on another machine, then here
`ssh -L 9000:127.0.0.1:9000 MACHINE`, and open the address that it printed
"""
)
def view(
    selection: SelectionFolder,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port on 127.0.0.1. [default: the first free one from 8765]")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")] = True,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """Look at a selection in the browser: other weights and sizes at once, every example read as it is."""
    from select2reason.view import explore, manifest_of, serve

    recorded = _recorded(str(manifest_of(selection)["command"]), cache_dir)
    used = recorded.options.get("cache_dir")
    explored = explore(selection, Path(str(used)) if used else None)

    def opened(address: str) -> None:
        if as_json:
            print_json({"address": address, "rows": explored.pool.rows})
        else:
            typer.echo(f"{explored.pool.rows:,} examples; open\n  {address}\nend with Ctrl-C")
        if browser:
            import webbrowser

            webbrowser.open(address)

    serve(explored, recorded, port=port, opened=opened)


def _recorded(command: str, cache_dir: Path | None) -> Recorded:
    """The pools and options of the command that made a selection; none where it was made through Python. A cache that
    is named now takes the place of the one that was named then."""
    from select2reason.view import Recorded

    words = shlex.split(command)
    if words[1:2] != ["select"]:
        return Recorded((), {} if cache_dir is None else {"cache_dir": str(cache_dir)})
    group = typer.main.get_command(app)
    own = group.commands["select"]  # type: ignore[attr-defined]
    context = own.make_context("select", words[2:], resilient_parsing=True)
    options: dict[str, object] = {}
    pools: tuple[str, ...] = ()
    for parameter in own.params:
        value = context.params.get(parameter.name)
        if context.get_parameter_source(parameter.name).name != "COMMANDLINE":
            continue
        if parameter.param_type_name == "argument":
            pools = tuple(str(pool) for pool in value)
        else:
            name = max(parameter.opts, key=len).removeprefix("--").replace("-", "_")
            options[name] = str(value) if isinstance(value, Path) else value
    return Recorded(pools, options if cache_dir is None else {**options, "cache_dir": str(cache_dir)})
