"""A choice made on the page handed on: as the command that makes it, as a recipe, or as a selection made at once.

The selection is made by `select` itself, as a process with the recorded options and the new ones: what is written has
its reasons, its report and its manifest, and says how it was made.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from select2reason.errors import UsageError
from select2reason.hub import is_hub_id
from select2reason.view.explored import Asked

_CHOSEN_HERE = ("strategy", "weight", "seed", "out", "force", "json")
_KEY = "OPENAI_API_KEY"  # which server a recorded command asks is said by a file: it is not sent there from here
_PLACES = ("tokenizer", "model", "cache_dir", "ray_storage")  # options that can name something here
_SIZES = ("fraction", "rows", "token_budget")
Options = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a selection of so many rows was made: pools and options as they were typed, options by their names in a
    recipe. Where its command cannot be given again `why` says so, and there are no pools."""

    pools: tuple[str, ...]
    options: Options
    rows: int
    why: str = ""

    def with_choice(self, asked: Asked) -> Options:
        """The options of another choice; those of the recorded one where nothing else is asked for."""
        if asked.recorded:
            return {name: value for name, value in self.options.items() if name not in ("out", "force", "json")}
        sized = asked.fraction is not None or asked.rows is not None or "token_budget" in self.options
        dropped = {*_CHOSEN_HERE, *(_SIZES if sized else ())} - ({"weight"} if asked.weight is None else set())
        options = {name: value for name, value in self.options.items() if name not in dropped}
        if asked.weight is not None:
            options["weight"] = asked.weight
        if asked.fraction is not None:
            options["fraction"] = f"{asked.fraction}"
        elif sized:
            options["rows"] = asked.rows or self.rows
        return options

    def command(self, asked: Asked, out: str) -> list[str]:
        """The words of the command after the program's name."""
        pools, words = self._pools(), ["select"]
        for name, value in self.with_choice(asked).items():
            option = f"--{name.replace('_', '-')}"
            words += [option] if value is True else [option, str(value)]
        words += ["--out", f"./{out}" if out.startswith("-") else out]
        plain = not any(pool.startswith("-") for pool in pools)
        return [words[0], *pools, *words[1:]] if plain else [*words, "--", *pools]

    def recipe(self, asked: Asked) -> str:
        """A recipe with a [select] alone, to which [train] and [evaluate] can be added."""
        options = {name: _placed(name, value) for name, value in self.with_choice(asked).items()}
        pools = [_from_anywhere(pool) for pool in self._pools()]
        lines = [f"{name} = {_toml(value)}" for name, value in {"pool": pools, **options}.items()]
        about = "# A choice made in the explorer. Add [train] and [evaluate] as the program's own recipes have them.\n"
        return about + "\n".join(["", "[select]", *lines, ""])

    def _pools(self) -> Sequence[str]:
        if not self.pools:
            raise UsageError(self.why)
        return self.pools


def _from_anywhere(pool: str) -> str:
    """A pool's name that leads to it from every folder: a recipe is taken elsewhere."""
    return pool if is_hub_id(pool) or not Path(pool).parent.exists() else str(Path(pool).absolute())


def _placed(name: str, value: object) -> object:
    """An option's value, a path in it leading there from every folder."""
    if name == "benchmark_files":
        return ",".join(map(_from_anywhere, str(value).split(",")))
    if name == "difficulty" and str(value).startswith(("reward:", "rollout:")):
        kind, _, folder = str(value).partition(":")
        return f"{kind}:{_from_anywhere(folder)}"
    here = name in _PLACES and Path(str(value)).exists()  # else it names one that comes with the program, or the Hub's
    return str(Path(str(value)).absolute()) if here else value


def _toml(value: object) -> str:
    """A value in TOML: its basic strings, numbers, Booleans and lists are written as JSON's are, less some escapes."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(slots=True)
class Making:
    """A selection that is being made; one at a time."""

    process: subprocess.Popen[str] | None = None
    ended: bool = True
    out: Path = Path()
    said: list[str] = field(default_factory=list)

    def start(self, words: Sequence[str], out: Path) -> None:
        """Begin. Raises UsageError while another one is under way."""
        if not self.ended:
            raise UsageError("a selection is being made already; wait for it")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "select2reason", *words],  # -P: no module is taken from the user's folder
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env={name: value for name, value in os.environ.items() if name != _KEY},
        )
        self.out, self.said, self.ended = out, [], False

    def follow(self) -> None:
        """Read what the process says until it ends; in a thread of its own."""
        if self.process is None:
            return
        with self.process as process:  # closes its pipe and waits for it
            for line in process.stderr or ():
                if any(map(str.isalnum, told := line.strip(" \n│"))):
                    self.said.append(told)
        self.ended = True

    def state(self) -> dict[str, object]:
        """`state` is idle, making, done or failed; `said` the last line that the command printed."""
        code = None if self.process is None else self.process.returncode
        name = "idle" if self.process is None else "making" if not self.ended else "failed" if code else "done"
        return {"state": name, "out": str(self.out), "said": self.said[-1] if self.said else ""}

    def stop(self) -> None:
        """End a process that is under way: its folder is not put in place."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()


def spelled(words: Sequence[str]) -> str:
    """The command as one types it, an option a line."""
    lines: list[list[str]] = [["select2reason"]]
    for word in words:
        if word.startswith("--"):
            lines.append([])
        lines[-1].append(word)
    return " \\\n  ".join(map(shlex.join, lines))
