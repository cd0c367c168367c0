"""The command line: one command per stage. It parses, calls and prints; the work is elsewhere."""

from __future__ import annotations

from select2reason.cli import (  # noqa: F401 -- they add their commands to the app
    cached,
    comparing,
    evaluating,
    exporting,
    grading,
    judging,
    recipes,
    reward,
    select,
    training,
    viewing,
)
from select2reason.cli.app import app as app
from select2reason.cli.running import run


def main() -> None:
    """Run the command line."""
    run(app)
