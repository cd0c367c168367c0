"""Grading in worker processes: verdicts in order, whatever the answers hold.

Most pairs are decided by reading, in this process (`rules`). The others go to worker processes, each a fresh Python
(no fork, and the caller's main module is not run again), one pair at a time, under a time and a memory limit. Where a
limit is hit the pair cannot be judged; the worker is replaced and the rest goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Self

from select2reason.cores import cores
from select2reason.errors import RunError, UsageError
from select2reason.grading.extract import gold_answer
from select2reason.grading.rules import decide, is_gold, labels_differ, meant, unlabelled
from select2reason.grading.tidy import key, tidy

Pair = tuple[str | None, str | None]  # final answer, gold
_Task = tuple[str, str, str, str]  # answer and gold, tidied; the same, raw

_LONGEST = 20_000  # characters; a longer answer is not read at all
_DEEPEST = 100  # nested brackets
_KEPT = 100_000  # verdicts remembered
_GRACE_S = 1.0  # beyond the time limit: the worker's own alarm gets the first chance
_MOST_WORKERS = 8  # where no number is asked for
_START_S = 120.0  # for a worker to load SymPy on a busy machine
_WORKER = "from select2reason.grading.worker import main; main()"


class Grader:
    """Grades pairs; a context manager, whose end ends all workers.

    `workers` processes start when first needed: one a core, up to eight, where no number is given. A pair takes at most
    `timeout_s` seconds and `memory_bytes` of memory beyond a worker's own 150 MB or so. Equal pairs are graded once.
    Not for use by several threads at once.
    """

    def __init__(self, workers: int | None = None, *, timeout_s: float = 5.0, memory_bytes: int = 1 << 30) -> None:
        workers = min(_MOST_WORKERS, cores()) if workers is None else workers
        if workers < 1 or not timeout_s > 0 or memory_bytes < 1:
            told = f"workers={workers}, timeout_s={timeout_s}, memory_bytes={memory_bytes}"
            raise UsageError(f"a grader needs at least a worker, some time and some memory; got {told}")
        self._most = workers
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._workers: list[_Worker] = []
        self._known: OrderedDict[_Task, bool | None] = OrderedDict()

    def grade(self, pairs: Iterable[Pair]) -> list[bool | None]:
        """Verdicts in the order of the pairs (final answer, gold): True right, False wrong, None cannot be judged.

        No usable gold (null, blank, "proof", "notfound" ...) gives None; an answer that is not there (null or blank)
        is not right: False. Raises RunError where a worker cannot be started.
        """
        verdicts: list[bool | None] = []
        waiting: dict[_Task, list[int]] = {}
        tasks: list[_Task] = []
        tidied = _Tidied()
        for given, gold in pairs:
            verdict = self._at_once(given, gold, tidied)
            if isinstance(verdict, tuple):
                positions = waiting.setdefault(verdict, [])
                tasks += [] if positions else [verdict]
                positions.append(len(verdicts))
                verdict = None
            verdicts.append(verdict)
        for task, verdict in self._run(tasks):
            self._remember(task, verdict)
            for position in waiting[task]:
                verdicts[position] = verdict
        return verdicts

    def _at_once(self, given: str | None, gold: str | None, tidied: _Tidied) -> bool | _Task | None:
        """The verdict, where reading or memory gives it; else the task for a worker."""
        if gold is None or not is_gold(gold):
            return None
        if given is None or not given.strip():
            return False
        if max(len(given), len(gold)) > _LONGEST:
            return True if given == gold else None
        answer, expected = unlabelled(tidied[given], tidied[gold]), tidied[gold]
        if (differ := labels_differ(answer, expected)) is not None:  # of the same letter with another text: who knows
            return True if key(answer) == key(expected) else False if differ else None
        asked = meant(answer, expected)
        if asked != expected:
            gold, expected = asked, tidied[asked]
        task = answer, expected, given, gold  # a worker reads both as they were written, too
        if task in self._known:
            return self._known[task]
        verdict = decide(answer, expected)
        if verdict is not None:
            return verdict
        return None if max(_depth(answer), _depth(expected)) > _DEEPEST else task

    def _remember(self, task: _Task, verdict: bool | None) -> None:
        self._known[task] = verdict
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)

    # --- workers ---

    def _run(self, tasks: list[_Task]) -> Iterable[tuple[_Task, bool | None]]:
        for worker in [worker for worker in self._workers if worker.task]:
            self._dismiss(worker)  # left at work by a call that was interrupted
        queue = deque(tasks)
        while queue or any(worker.task for worker in self._workers):
            self._staff(len(queue))
            for worker in self._workers:
                if worker.ready and worker.task is None and queue:
                    worker.send(queue.popleft(), self._timeout_s + _GRACE_S)
            yield from self._collect()

    def _staff(self, waiting: int) -> None:
        """Start workers, up to the most, while there are more tasks than hands."""
        for worker in [worker for worker in self._workers if worker.died_idle()]:
            self._dismiss(worker)
        free = sum(worker.task is None for worker in self._workers)
        for _ in range(min(self._most - len(self._workers), waiting - free)):
            self._workers.append(_Worker.start(self._timeout_s, self._memory_bytes))

    def _collect(self) -> Iterable[tuple[_Task, bool | None]]:
        """Wait for the first worker to say something, or to run out of time; give what is finished."""
        busy = [worker for worker in self._workers if worker.task or not worker.ready]
        until = min(worker.deadline for worker in busy)
        spoke = wait([worker.fileno() for worker in busy], max(0.0, until - time.monotonic()))
        for worker in busy:
            reply = worker.receive() if worker.fileno() in spoke else None
            late = reply is None and time.monotonic() >= worker.deadline
            if reply == "" or late:
                yield from self._lost(worker)
            elif reply == "ready":
                worker.ready = True
            elif reply is not None and worker.task is not None:
                verdict, _, retire = reply.partition(" ")
                yield worker.task, json.loads(verdict)
                worker.task = None
                if retire:
                    self._dismiss(worker)

    def _lost(self, worker: _Worker) -> Iterable[tuple[_Task, bool | None]]:
        """A worker that died or overran: its pair cannot be judged."""
        self._dismiss(worker)
        if not worker.ready:
            raise RunError(
                f"a grading worker did not start; see what `{sys.executable} -c '{_WORKER}' 5 {1 << 30}` prints"
            )
        if worker.task is not None:
            yield worker.task, None

    def _dismiss(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.end()

    def close(self) -> None:
        """End all workers, at once, whatever they do."""
        while self._workers:
            self._workers.pop().end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def verdicts(
    results: Sequence[Sequence[str | None]], golds: Iterable[str | None], grader: Grader
) -> list[list[bool | None]]:
    """Whether each final answer of each question is right, by the question's gold answer or its solution (as
    `Grader.grade`)."""
    expected = [gold_answer(gold) for gold in golds]
    pairs = [(result, gold) for some, gold in zip(results, expected, strict=True) for result in some]
    found = iter(grader.grade(pairs))
    return [[next(found) for _ in some] for some in results]


@dataclass(slots=True, eq=False)
class _Worker:
    """One process and what it is at; `deadline` is on the monotonic clock."""

    process: subprocess.Popen[bytes]
    deadline: float
    ready: bool = False
    task: _Task | None = None
    heard: bytes = field(default=b"")

    @classmethod
    def start(cls, timeout_s: float, memory_bytes: int) -> Self:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        process = subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(timeout_s), str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the LaTeX parser complains there about every answer it cannot read
            env=env,
        )
        return cls(process, time.monotonic() + _START_S)

    def fileno(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def died_idle(self) -> bool:
        return self.ready and self.task is None and self.process.poll() is not None

    def send(self, task: _Task, limit_s: float) -> None:
        """Hand over a task. A worker that died meanwhile is noticed when its answer is read."""
        assert self.process.stdin is not None
        self.task, self.deadline = task, time.monotonic() + limit_s
        try:
            self.process.stdin.write(json.dumps(task).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.process.kill()

    def receive(self) -> str | None:
        """The line it said; "" at the end of its output; None while the line is not whole."""
        piece = os.read(self.fileno(), 4096)
        self.heard += piece
        if piece and not self.heard.endswith(b"\n"):
            return None
        line, self.heard = self.heard, b""
        return line.decode().strip() if piece else ""

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what was not yet written is of no use to a dead worker


class _Tidied(dict[str, str]):
    """Each text tidied once in a call: golds repeat, n times a question."""

    def __missing__(self, text: str) -> str:
        self[text] = tidy(text)
        return self[text]


def _depth(text: str) -> int:
    depth = deepest = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    return deepest
