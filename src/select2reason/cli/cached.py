"""`cache`: what is kept for the next run."""

from __future__ import annotations

from typing import Annotated

import typer

from select2reason.cli.app import app
from select2reason.cli.options import AsJson, CacheDir, echo, print_json


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
        cleared = kept.clear(root)
        if as_json:
            print_json(cleared)
            return
        echo(f"cleared {root}: {cleared.freed_bytes / 1e6:,.1f} MB")
        if cleared.in_use:
            echo(f"left: {cleared.in_use} pools that are being made by another process")
        return
    pools = kept.list_pools(root)
    if as_json:
        print_json({"root": root, "pools": pools})
        return
    for pool in pools:
        rows = "unfinished" if pool.rows is None else f"{pool.rows:,} rows"
        held = f"{pool.size_bytes / 1e6:,.1f} MB  {', '.join(pool.scores) or 'no scores'}"
        echo(f"{pool.path}  {pool.day}  {rows}  {held}")
    echo(f"{len(pools)} pools in {root}, {sum(pool.size_bytes for pool in pools) / 1e6:,.1f} MB")
