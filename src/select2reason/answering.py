"""Questions put to a model, its answers kept and graded: the one piece that rollouts and evaluation share.

A folder holds the answers of one model under one prompt and temperature, so that what is drawn later goes with what is
there; the model is loaded only where an answer is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from select2reason.backends import BackendSettings, open_backend
from select2reason.backends.base import Completion, Sampling
from select2reason.errors import OutputError
from select2reason.grading import Grader, gold_answer
from select2reason.progress import say, stage
from select2reason.sampling import Asked, Samples, draw

_TOGETHER = {"vllm": 1024, "openai": 4096, "transformers": 32}  # answers in one call; a server's are kept one by one


@dataclass(frozen=True, slots=True)
class Drawing:
    """Questions, how their answers are drawn, and where they are kept; `name` is for the plan."""

    name: str
    questions: Sequence[Asked]
    sampling: Sampling
    kept: Samples

    @property
    def missing(self) -> int:
        """How many answers are still to be drawn."""
        return sum(len(self.kept.missing(question.key, self.sampling)) for question in self.questions)


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
            if differ := [name for name, value in settings.items() if held.get(name) != value]:
                told = ", ".join(_differing(name, held.get(name), settings[name]) for name in differ)
                raise OutputError(f"{folder} holds answers drawn with another {told}; choose another --out")
            return
        if folder.is_dir() and not note.is_file() and any(folder.iterdir()):
            raise OutputError(f"{folder} holds something else; choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        part = note.with_suffix(".part")
        part.write_bytes(orjson.dumps(settings, option=orjson.OPT_INDENT_2))
        part.replace(note)
    except (OSError, orjson.JSONDecodeError) as error:
        raise OutputError(f"cannot use {folder} ({error}); choose another --out") from error


def _differing(name: str, held: object, wanted: object) -> str:
    """What differs, with both values where they say something."""
    if isinstance(held, list) and isinstance(wanted, list):
        return f"model ({held[1]}, not {wanted[1]})" if held[:1] == wanted[:1] == ["openai"] else "model or engine"
    return f"{name} ({held!r:.60}, not {wanted!r:.60})"


def same_model(engine: BackendSettings) -> list[str]:
    """What names the model for `claim`: a server may move and a context may grow without its becoming another one."""
    if engine.kind == "openai":
        return [engine.kind, engine.model]
    return list(replace(engine, max_model_len=None).fingerprint)


def check_limit(kept: Samples, sampling: Sampling) -> None:
    """Raise OutputError where answers were kept under a larger limit: they would not go with shorter ones."""
    if kept.max_tokens > sampling.max_tokens:
        told = f"{kept.path} holds answers of up to {kept.max_tokens:,} tokens"
        raise OutputError(f"{told}; give --max-tokens {kept.max_tokens} or more, or choose another --out")


def draw_missing(engine: BackendSettings, drawings: Sequence[Drawing]) -> int:
    """Draw every answer that is not kept yet; the number of them. Says what is there and what is to do before."""
    wanted = 0
    for one in drawings:
        check_limit(one.kept, one.sampling)
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


def verdicts(
    results: Sequence[Sequence[str | None]], golds: Sequence[str | None], grader: Grader
) -> list[list[bool | None]]:
    """Whether each final answer of each question is right, by its gold answer or its solution (as `Grader.grade`)."""
    expected = [gold_answer(gold) for gold in golds]
    pairs = [(result, gold) for some, gold in zip(results, expected, strict=True) for result in some]
    found = iter(grader.grade(pairs))
    return [[next(found) for _ in some] for some in results]


def mean_tokens(answers: Sequence[Completion]) -> float | None:
    """Mean length of the answers whose length the engine told; None where it told none."""
    tokens = [one.tokens for one in answers if one.tokens is not None]
    return sum(tokens) / len(tokens) if tokens else None
