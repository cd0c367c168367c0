"""A recipe run from its first stage to its report: each stage a process of its own, none done twice.

A process of its own gives back all memory, a GPU's above all, before the next begins. OUT/run.json says which stages
are done, and by which command; the report is made from what the stages left.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import orjson

from select2reason.errors import OutputError
from select2reason.files import locked, refuse_other_format, write_json
from select2reason.progress import SPOKEN_FOR, hear_interrupts, say
from select2reason.recipe import Recipe, Stage
from select2reason.results import FILES, write_results

_DONE, _LOCK = "run.json", "run.lock"
_FORMAT = 1  # of run.json
_PROGRAM = "select2reason"


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to: how many stages were done now and before, and the exit code of the one that failed, or 0."""

    out: Path
    name: str
    done_now: int
    done_before: int
    code: int
    report: Path


def run_recipe(recipe: Recipe, out: Path, *, check: Callable[[Stage], None]) -> Run:
    """Run what is not done yet. `check` raises UsageError for a stage that its command cannot run; it is asked of all
    stages that are to run before the first begins.

    Raises OutputError where OUT was made by another recipe, or another run is at work there.
    """
    _refuse_foreign(out)
    done = _read(out)
    for stage in recipe.stages:
        if not _is_done(stage, done):
            check(stage)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {out} ({error.strerror}); choose another --out") from error
    with locked(out / _LOCK, f"{out} is being made"):
        done = _read(out)
        _refuse_other(recipe, done, out)
        return _run_missing(recipe, out, done)


def _refuse_other(recipe: Recipe, done: Mapping[str, list[str]], out: Path) -> None:
    if done and not any(stage.name in done for stage in recipe.stages):
        raise OutputError(f"{out} holds the run of another recipe (it has {next(iter(done))}); choose another --out")
    for stage in recipe.stages:
        if (before := done.get(stage.name, list(stage.words))) != list(stage.words):
            told = f"{_differing(before, stage.words)}, not {_differing(stage.words, before)}"
            raise OutputError(f"{out} holds {stage.name} made otherwise ({told}); choose another --out")


def _refuse_foreign(out: Path) -> None:
    known = (_DONE, f"{_DONE}.part", _LOCK)
    if (
        out.exists()
        and not (out / _DONE).is_file()
        and (not out.is_dir() or any(p.name not in known for p in out.iterdir()))
    ):
        raise OutputError(f"{out} holds something else; choose another --out")


def _differing(one: Sequence[str], other: Sequence[str]) -> str:
    known = set(_told(other))
    return shlex.join(word for words in _told(one) if words not in known for word in words) or "less"


def _told(words: Sequence[str]) -> list[tuple[str, ...]]:
    """A command's words, each option with what is given to it."""
    starts = [
        at for at, word in enumerate(words) if at == 0 or word.startswith("--") or not words[at - 1].startswith("--")
    ]
    return [tuple(words[start:end]) for start, end in pairwise([*starts, len(words)])]


def _run_missing(recipe: Recipe, out: Path, done: dict[str, list[str]]) -> Run:
    before = next((at for at, one in enumerate(recipe.stages) if not _is_done(one, done)), len(recipe.stages))
    say(f"plan: {recipe.name}: {len(recipe.stages)} stages, {before} of them done")
    # what follows the first missing stage is gone through, too: it may rest on it, and skips itself where it does not
    for at, stage in enumerate(recipe.stages[before:], before + 1):
        say(f"\nstage {at} of {len(recipe.stages)}: {shlex.join([_PROGRAM, *stage.words])}")
        _write(out, done)  # from now on the folder is this recipe's
        if not _made_by(stage) and (code := _run(stage)):
            return Run(out, recipe.name, at - 1 - before, before, code, out / FILES[0])
        done[stage.name] = list(stage.words)
        _write(out, done)
    write_results(recipe, out)  # always: what it compares and says may have been changed
    return Run(out, recipe.name, len(recipe.stages) - before, before, 0, out / FILES[0])


def _is_done(stage: Stage, done: Mapping[str, list[str]]) -> bool:
    return stage.name in done and stage.made.exists()


def _made_by(stage: Stage) -> bool:
    """Whether a folder that is put in place whole is there by this command, whose end was not written down."""
    if stage.name == "make":
        return stage.made.is_dir()
    if not stage.name.startswith("select") or not (stage.made / "manifest.json").is_file():
        return False
    try:
        command = orjson.loads((stage.made / "manifest.json").read_bytes())["command"]
    except (orjson.JSONDecodeError, KeyError, TypeError):  # not by this command, which refuses to replace it
        return False
    return bool(command == shlex.join([_PROGRAM, *stage.words]))


def _run(stage: Stage) -> int:
    """The exit code; what a command prints for people goes where progress goes."""
    hear_interrupts()
    command, alone = [sys.executable, "-m", "select2reason", *stage.words], {SPOKEN_FOR: "1"}
    process = subprocess.Popen(command, stdout=sys.stderr.fileno(), env=os.environ | alone)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _read(out: Path) -> dict[str, list[str]]:
    file = out / _DONE
    if not file.is_file():
        return {}
    try:
        held = orjson.loads(file.read_bytes())
        if "format" in held:  # the first ones did not say it
            refuse_other_format(file, held, _FORMAT, "choose another --out")
        return {str(name): [str(word) for word in words] for name, words in held["done"].items()}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"{file} is damaged; remove it, or choose another --out") from error


def _write(out: Path, done: Mapping[str, list[str]]) -> None:
    write_json(out / _DONE, {"format": _FORMAT, "done": dict(done)})
