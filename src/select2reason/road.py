"""A recipe run from its first stage to its report: each stage a process of its own, none done twice.

A process of its own gives back all memory, a GPU's above all, before the next begins. OUT/run.json says which stages
are done, and by which command; the report is made from what the stages left.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from select2reason.errors import OutputError
from select2reason.progress import say
from select2reason.recipe import Recipe, Stage
from select2reason.results import FILES, write_results

_DONE = "run.json"


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to: how many stages were done now and before, and the exit code of the one that failed, or 0."""

    out: Path
    name: str
    done_now: int
    done_before: int
    code: int
    report: Path


def run_recipe(recipe: Recipe, out: Path, *, check: Callable[[Sequence[str]], None]) -> Run:
    """Run what is not done yet. `check` raises UsageError for words that a command does not take; it is asked of all
    stages before the first begins.

    Raises OutputError where OUT was made by another recipe.
    """
    for stage in recipe.stages:
        check(stage.words)
    done = _read(out)
    for stage in recipe.stages:
        if done.get(stage.name, list(stage.words)) != list(stage.words):
            raise OutputError(f"{out} holds {stage.name} made by another command; choose another --out")
    missing = [stage for stage in recipe.stages if stage.name not in done or not stage.made.exists()]
    before = len(recipe.stages) - len(missing)
    say(f"plan: {recipe.name}: {len(recipe.stages)} stages, {before} of them done")
    out.mkdir(parents=True, exist_ok=True)
    for at, stage in enumerate(missing):
        say(f"\nstage {before + at + 1} of {len(recipe.stages)}: {shlex.join(['select2reason', *stage.words])}")
        if code := _run(stage):
            return Run(out, recipe.name, at, before, code, out / FILES[0])
        done[stage.name] = list(stage.words)
        _write(out, done)
    if missing or not all((out / name).exists() for name in FILES):
        write_results(recipe, out)
    return Run(out, recipe.name, len(missing), before, 0, out / FILES[0])


def _run(stage: Stage) -> int:
    """The exit code; what a command prints for people goes where progress goes."""
    process = subprocess.Popen([sys.executable, "-m", "select2reason", *stage.words], stdout=sys.stderr.fileno())
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _read(out: Path) -> dict[str, list[str]]:
    file = out / _DONE
    if not file.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise OutputError(f"{out} holds something else; choose another --out")
        return {}
    try:
        done: dict[str, list[str]] = orjson.loads(file.read_bytes())["done"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise OutputError(f"{file} is damaged; remove it, or choose another --out") from error
    return done


def _write(out: Path, done: dict[str, list[str]]) -> None:
    part = out / f"{_DONE}.part"
    part.write_bytes(orjson.dumps({"done": done}, option=orjson.OPT_INDENT_2))
    part.replace(out / _DONE)
