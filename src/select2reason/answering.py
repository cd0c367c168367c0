"""Questions put to a model and its answers kept: the one piece that rollouts and evaluation share.

A folder holds the answers of one model under one prompt and temperature, so that what is drawn later goes with what is
there; the model is loaded only where an answer is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from select2reason.backends import BackendSettings, open_backend
from select2reason.backends.base import Sampling
from select2reason.errors import OutputError
from select2reason.files import locked_folder, write_whole
from select2reason.progress import say, stage
from select2reason.sampling import Asked, Samples, draw

_TOGETHER = {"vllm": 1024, "openai": 4096, "transformers": 32}  # answers in one call; a server's are kept one by one


@dataclass(frozen=True, slots=True)
class Drawing:
    """Distinct questions, how their answers are drawn, and where they are kept; `name` is for the plan.

    Raises OutputError where answers were kept under a larger limit.
    """

    name: str
    questions: Sequence[Asked]
    sampling: Sampling
    kept: Samples

    def __post_init__(self) -> None:
        if self.kept.max_tokens > self.sampling.max_tokens:  # they would not go with shorter ones
            told = f"{self.kept.path} holds answers of up to {self.kept.max_tokens:,} tokens"
            raise OutputError(f"{told}; give --max-tokens {self.kept.max_tokens} or more, or choose another --out")

    @property
    def missing(self) -> int:
        """How many answers are still to be drawn."""
        return sum(len(self.kept.missing(question.key, self.sampling)) for question in self.questions)


@contextmanager
def folder_of_answers(out: Path) -> Iterator[None]:
    """Make OUT, and hold it: two runs at once would write down different things of the same answers.

    Raises OutputError where it cannot be made, or another run holds it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot use {out} ({error}); choose another --out") from error
    with locked_folder(out, f"{out} is being written"):
        yield


def claim(note: Path, settings: Mapping[str, object], *, holds_answers: bool) -> None:
    """Write down what the answers in the note's folder depend on, or check that those there depend on the same.

    Raises OutputError where they do not, where the folder holds something else, or where it cannot be written.
    """
    folder = note.parent
    try:
        if note.is_file() and holds_answers:
            held = orjson.loads(note.read_bytes())
            if not isinstance(held, dict):
                raise OutputError(f"{note} is damaged; move its folder away, or choose another --out")
            if unknown := sorted(set(held) - set(settings)):
                told = f"{note} was written by another version of select2reason (it says {unknown[0]})"
                raise OutputError(f"{told}; go on with that one, or choose another --out")
            if differ := [name for name, value in settings.items() if held.get(name) != value]:
                told = ", ".join(_differing(name, held.get(name), settings[name]) for name in differ)
                raise OutputError(f"{folder} holds answers drawn with another {told}; choose another --out")
            return
        if folder.is_dir() and not note.is_file() and any(folder.iterdir()):
            raise OutputError(f"{folder} holds something else; choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(note, orjson.dumps(settings, option=orjson.OPT_INDENT_2))
    except (OSError, orjson.JSONDecodeError) as error:
        raise OutputError(f"cannot use {folder} ({error}); choose another --out") from error


def _differing(name: str, held: object, wanted: object) -> str:
    """What differs, with both values where they say something."""
    if isinstance(held, list) and isinstance(wanted, list):
        return (
            f"model ({held[1]}, not {wanted[1]})"
            if held[:1] == wanted[:1] == ["openai"] and held[1:]
            else "model or engine"
        )
    return f"{name} ({held!r:.60}, not {wanted!r:.60})"


def same_model(engine: BackendSettings) -> list[str]:
    """What names the model for `claim`: a server may move and a context may grow without its becoming another one."""
    if engine.kind == "openai":
        return [engine.kind, engine.model]
    return list(replace(engine, max_model_len=None).fingerprint)


def same_draws(sampling: Sampling) -> dict[str, float]:
    """What all draws of a folder have in common, for `claim`: more of them, and longer ones, may be added."""
    return {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": sampling.seed}


def draw_missing(engine: BackendSettings, drawings: Sequence[Drawing]) -> int:
    """Draw every answer that is not kept yet; the number of them. Says what is there and what is to do before."""
    wanted = 0
    for one in drawings:
        wanted += (missing := one.missing)
        held = len(one.questions) * one.sampling.n - missing
        told = (
            f"{len(one.questions):,} questions, {one.sampling.n} answers each: {held:,} are kept, {missing:,} to draw"
        )
        say(f"plan: {one.name}{': ' if one.name else ''}{told}")
    if not wanted:
        return 0
    with closing(open_backend(engine)) as backend, stage("answering", wanted, unit="answers") as advance:
        for one in drawings:
            group = max(1, _TOGETHER[engine.kind] // one.sampling.n)
            draw(backend, one.questions, one.sampling, one.kept, group=group, progress=advance)
    return wanted
