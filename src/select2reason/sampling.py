"""Completions drawn from a model and kept, every one of them: what rollouts and evaluation have in common.

They stand in one file of JSON lines that only ever grows, so a run that is killed loses the group of questions that was
under way and no more. Asked for again with a larger max_tokens, only the answers that were cut off are drawn anew.
"""

from __future__ import annotations

import fcntl
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import orjson

from select2reason.backends.base import Backend, Completion, Messages, Sampling
from select2reason.cache import key_of
from select2reason.errors import OutputError, RunError

PAPER_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."  # METHOD 6


@dataclass(frozen=True, slots=True)
class Asked:
    """A question put to the model; `key` names the chat, so that the same one is not asked twice."""

    key: str
    prompt: Messages


@dataclass(frozen=True, slots=True)
class _Held:
    """Where a kept completion stands in the file, and what decides whether it is drawn again."""

    at: int
    cut_off: bool
    max_tokens: int


def asked(question: str, system: str = PAPER_SYSTEM) -> Asked:
    """A question with the system turn of the paper's training and evaluation (empty: none)."""
    turns: Messages = [{"role": "user", "content": question}]
    prompt = [{"role": "system", "content": system}, *turns] if system else turns
    return Asked(key_of(prompt), prompt)  # type: ignore[arg-type]


def distinct(questions: Iterable[Asked]) -> list[Asked]:
    """Each chat once, in order."""
    return list({question.key: question for question in questions}.values())


def holds_answers(path: Path) -> bool:
    """Whether a file of kept completions is there and not empty."""
    return path.is_file() and path.stat().st_size > 0


class Samples:
    """The completions kept in one file. A torn last line, of a run that was killed, is cut away when it is opened; a
    file that is opened `read_only` stays as it is, and its torn line is not seen."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._held: dict[tuple[str, int], _Held] = {}
        self._waiting: list[bytes] = []  # lines that are not in the file yet
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("rb" if read_only else "ab")
        try:
            if not read_only:
                self._lock()
            self._end = self._read()
            if not read_only:
                os.truncate(path, self._end)
        except (OutputError, RunError):
            self._file.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            told = f"{self.path} is being written by another run; wait for it, or choose another --out"
            raise OutputError(told) from error

    def __enter__(self) -> Samples:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.keep()
        self._file.close()

    def _read(self) -> int:
        """Where the last whole line ends."""
        end = 0
        with self.path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                if line.strip():
                    self._note(end, line)
                end += len(line)
        return end

    def _note(self, at: int, line: bytes) -> None:
        try:
            one = orjson.loads(line)
            held = _Held(at, one["cut_off"], one["max_tokens"])
            if not isinstance(one["text"], str) or "tokens" not in one:
                raise TypeError("no text")
            self._held[one["key"], one["sample"]] = held
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise RunError(f"{self.path} holds a line that is no completion ({error}); move it away") from error

    def missing(self, key: str, sampling: Sampling) -> list[int]:
        """Numbers of the answers to draw: those not kept, and those cut off under a smaller max_tokens."""
        held = [self._held.get((key, number)) for number in range(sampling.n)]
        return [
            n for n, one in enumerate(held) if one is None or (one.cut_off and one.max_tokens < sampling.max_tokens)
        ]

    @property
    def answers(self) -> int:
        """How many answers are kept."""
        return len(self._held)

    @property
    def most(self) -> int:
        """How many answers are kept of the question that has most."""
        return max((number + 1 for _, number in self._held), default=0)

    @property
    def max_tokens(self) -> int:
        """The largest limit that a kept answer was drawn with; 0 where there is none."""
        return max((one.max_tokens for one in self._held.values()), default=0)

    def add(self, key: str, number: int, completion: Completion, sampling: Sampling) -> None:
        """Keep one answer, once `keep` is called; an earlier one of this number counts no more."""
        own = {"key": key, "sample": number, "cut_off": completion.cut_off, "tokens": completion.tokens}
        how = {"max_tokens": sampling.max_tokens, "temperature": sampling.temperature, "top_p": sampling.top_p}
        text = completion.text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written
        line = orjson.dumps({**own, **how, "seed": sampling.seed, "text": text}) + b"\n"
        self._held[key, number] = _Held(self._end, completion.cut_off, sampling.max_tokens)
        self._waiting.append(line)
        self._end += len(line)

    def keep(self) -> None:
        """Make sure that what was added outlives the machine: all of it at once, so that a kill leaves no group half
        there, whose other half would be drawn with another seed."""
        if self._waiting:
            self._file.write(b"".join(self._waiting))
            self._waiting.clear()
            self._file.flush()
            os.fsync(self._file.fileno())

    def of(self, keys: Sequence[str], n: int) -> Iterator[list[Completion]]:
        """For each key its first n answers, by number; fewer where fewer are kept."""
        with self.path.open("rb") as lines:
            for key in keys:
                held = [self._held.get((key, number)) for number in range(n)]
                yield [_read_at(lines, one.at) for one in held if one is not None]


def _read_at(lines: BinaryIO, at: int) -> Completion:
    lines.seek(at)
    one = orjson.loads(lines.readline())
    return Completion(one["text"], one["tokens"], bool(one["cut_off"]))


def draw(
    backend: Backend,
    questions: Sequence[Asked],
    sampling: Sampling,
    kept: Samples,
    *,
    group: int,
    progress: Callable[[int], None] = lambda answers: None,
) -> None:
    """Draw what is missing, `group` questions at a time; `progress` is told the answers of each group.

    The same questions, sampling and groups draw the same answers on an engine that is deterministic.
    """
    for start in range(0, len(questions), group):
        alike: dict[tuple[int, ...], list[Asked]] = defaultdict(list)
        for question in questions[start : start + group]:
            if numbers := kept.missing(question.key, sampling):
                alike[tuple(numbers)].append(question)
        for which, parts in sorted(alike.items()):
            how = replace(sampling, n=len(which), seed=_seed(sampling, which))
            _draw_alike(backend, parts, which, how, kept, sampling, progress)


def _draw_alike(
    backend: Backend,
    questions: Sequence[Asked],
    which: tuple[int, ...],
    how: Sampling,
    kept: Samples,
    sampling: Sampling,
    progress: Callable[[int], None],
) -> None:
    """Questions that lack the same answers, in one call; what an engine tells early is kept early."""
    told: set[int] = set()

    def keep(at: int, answers: Sequence[Completion]) -> None:
        for number, answer in zip(which, answers, strict=True):
            kept.add(questions[at].key, number, answer, sampling)
        told.add(at)

    def done(at: int, answers: Sequence[Completion]) -> None:
        keep(at, answers)
        kept.keep()
        progress(len(which))

    drawn = backend.generate([question.prompt for question in questions], how, done=done)
    late = [at for at in range(len(questions)) if at not in told]
    for at in late:
        keep(at, drawn[at])
    kept.keep()
    progress(len(which) * len(late))


def _seed(sampling: Sampling, numbers: tuple[int, ...]) -> int:
    """A seed for these answers, so that one drawn later is never a copy of an earlier one."""
    return int(key_of(sampling.seed, numbers, sampling.max_tokens)[:7], 16)
