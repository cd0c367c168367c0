"""A choice made on the page handed on: as the command that makes it, as a recipe, or as a selection made at once.

The selection is made by `select` itself, as a process with the recorded options and the new ones: what is written has
its reasons, its report and its manifest, and says how it was made.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from select2reason.errors import UsageError
from select2reason.view.explored import Asked

_CHOSEN_HERE = ("strategy", "weight", "seed", "out", "force", "json")
_SIZES = ("fraction", "rows", "token_budget")
Options = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a selection of so many rows was made: pools and options as they were typed, options by their names in a
    recipe. `pools` is empty where it was made through Python."""

    pools: tuple[str, ...]
    options: Options
    rows: int

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
        words = ["select", *self._pools()]
        for name, value in self.with_choice(asked).items():
            option = f"--{name.replace('_', '-')}"
            words += [option] if value is True else [option, str(value)]
        return [*words, "--out", f"./{out}" if out.startswith("-") else out]

    def recipe(self, asked: Asked) -> str:
        """A recipe with a [select] alone, to which [train] and [evaluate] can be added."""
        options = {"pool": [*self._pools()], **self.with_choice(asked)}
        lines = [f"{name} = {_toml(value)}" for name, value in options.items()]
        about = "# A choice made in the explorer. Add [train] and [evaluate] as the program's own recipes have them.\n"
        return about + "\n".join(["", "[select]", *lines, ""])

    def _pools(self) -> Sequence[str]:
        if not self.pools:
            raise UsageError(
                "this selection was made through Python; make the new one there: SelectSettings(weight=...)"
            )
        return self.pools


def _toml(value: object) -> str:
    """A value in TOML: its basic strings, numbers, Booleans and lists are written as JSON's are, less some escapes."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(slots=True)
class Making:
    """A selection that is being made; one at a time."""

    process: subprocess.Popen[str] | None = None
    out: Path = Path()
    said: list[str] = field(default_factory=list)

    def start(self, words: Sequence[str], out: Path) -> None:
        """Begin. Raises UsageError while another one is under way."""
        if self.process is not None and self.process.poll() is None:
            raise UsageError("a selection is being made already; wait for it")
        self.out, self.said = out, []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "select2reason", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )

    def follow(self) -> None:
        """Read what the process says until it ends; in a thread of its own."""
        if self.process is None:
            return
        with self.process as process:  # closes its pipe and waits for it
            for line in process.stderr or ():
                if any(map(str.isalnum, told := line.strip(" \n│"))):
                    self.said.append(told)

    def state(self) -> dict[str, object]:
        """`state` is idle, making, done or failed; `said` the last line that the command printed."""
        code = None if self.process is None else self.process.poll()
        name = "idle" if self.process is None else {None: "making", 0: "done"}.get(code, "failed")
        return {"state": name, "out": str(self.out), "said": self.said[-1] if self.said else ""}

    def stop(self) -> None:
        """End a process that is under way: its folder is not put in place."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()


def spelled(words: Sequence[str]) -> str:
    """The command as one types it."""
    return shlex.join(["select2reason", *words])
