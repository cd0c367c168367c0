r"""The pool of workers: limits, hostile answers, dead workers, and none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from select2reason.errors import UsageError
from select2reason.grading import Grader

EASY = ("(x+1)^2", "x^2+2x+1")
ENDLESS = ("9^{9^{9^{9}}}", "5")


def children() -> list[psutil.Process]:
    return list(psutil.Process().children(recursive=True))


def test_a_worker_that_runs_out_of_time_costs_its_pair_only() -> None:
    with Grader(1, timeout_s=2) as grader:
        assert grader.grade([EASY, ENDLESS, ("(x-1)^2", "x^2-2x+1"), ("7", "7")]) == [True, None, True, True]


def test_a_verdict_does_not_depend_on_the_pairs_before_it() -> None:
    pairs = [("2\\pi radians", "2\\pi"), ("$2\\pi$ radians", "2\\pi")]
    alone = []
    for pair in pairs:
        with Grader(1, timeout_s=20) as grader:
            alone += grader.grade([pair])
    for order in (pairs, pairs[::-1]):
        with Grader(1, timeout_s=20) as grader:
            assert dict(zip(order, grader.grade(order), strict=True)) == dict(zip(pairs, alone, strict=True))


@pytest.mark.parametrize(
    ("given", "gold"),
    [
        (" ".join(f"${n}$" for n in range(60)) + " x", "5"),
        ("x" * 1_000_000, "y"),
        (r"\frac{" * 100_000 + "1", "2"),
        ("(" * 2000 + "x" + ")" * 2000, "x+y"),
        (r"\sqrt{" * 60 + "x" + "}" * 60, "y"),
        ("5\x00+\x00x", "y"),
        (r"\left(10^{7}\right)!", "5"),
        (r"7^{3\cdot 10^{8}}", "5"),
        ("\ud800x+1", "x"),
        (r"\sum_{k=1}^{10^{9}} \frac{1}{k^2}", "5"),
    ],
    ids=[
        "list",
        "megabyte",
        "megabyte of fractions",
        "deep",
        "roots",
        "nulls",
        "factorial",
        "power",
        "surrogate",
        "sum",
    ],
)
def test_hostile_answers_are_never_right_and_never_stop_the_pool(given: str, gold: str) -> None:
    with Grader(1, timeout_s=2) as grader:
        start = time.perf_counter()
        assert grader.grade([(given, gold)])[0] is not True
        assert time.perf_counter() - start < 60
        assert grader.grade([EASY]) == [True]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_memory_is_limited() -> None:
    """2^(8*10^9) is a number of a gigabyte: with 256 MB more than a worker needs, memory ends it and not time."""
    stop, seen = threading.Event(), [0]

    def watch() -> None:
        while not stop.wait(0.02):
            with suppress(psutil.Error):
                seen[0] = max([seen[0], *(worker.memory_info().rss for worker in children())])

    with Grader(1, timeout_s=60, memory_bytes=256 << 20) as grader:
        assert grader.grade([EASY]) == [True]
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            start = time.perf_counter()
            assert grader.grade([(r"2^{8\cdot 10^{9}}+1", "5"), ("(x+2)^2", "x^2+4x+4")]) == [None, True]
            took = time.perf_counter() - start
        finally:
            stop.set()
            watcher.join()
    assert took < 50
    assert 100 << 20 < seen[0] < 1 << 30


def test_a_stopped_worker_is_killed_from_outside() -> None:
    with Grader(1, timeout_s=1) as grader:
        assert grader.grade([EASY]) == [True]
        (worker,) = children()
        worker.send_signal(signal.SIGSTOP)
        assert grader.grade([("(x+2)^2", "x^2+4x+4"), ("(x+3)^2", "x^2+6x+9")]) == [None, True]
        assert not worker.is_running()


def test_a_worker_that_died_idle_is_replaced() -> None:
    with Grader(1) as grader:
        assert grader.grade([EASY]) == [True]
        (worker,) = children()
        worker.kill()
        time.sleep(0.2)
        assert grader.grade([("(x+2)^2", "x^2+4x+4")]) == [True]


def test_no_worker_is_started_for_what_reading_decides() -> None:
    with Grader(2) as grader:
        assert grader.grade([("1,000", "1000"), ("B", r"\text{C}"), (None, "5"), ("5", None)]) == [
            True,
            False,
            False,
            None,
        ]
        assert children() == []


def test_equal_pairs_are_graded_once() -> None:
    with Grader(1, timeout_s=2) as grader:
        start = time.perf_counter()
        assert grader.grade([ENDLESS] * 1000) == [None] * 1000
        assert grader.grade([ENDLESS]) == [None]
        assert time.perf_counter() - start < 60


def test_the_end_of_the_context_ends_the_workers() -> None:
    with Grader(2) as grader:
        grader.grade([EASY, ("(x-1)^2", "x^2-2x+1")])
        workers = children()
        assert workers
    assert not any(worker.is_running() for worker in workers)


SCRIPT = """
from select2reason.grading import Grader
with Grader(2, timeout_s=300) as grader:
    print("started", flush=True)
    grader.grade([("9^{9^{9^{9}}}", "5"), ("8^{9^{9^{9}}}", "5")])
"""  # no guard against a second run of the main module: workers must not need one


def test_ctrl_c_leaves_no_worker_behind(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env) as main:
        assert main.stdout is not None and main.stdout.readline() == b"started\n"
        workers: list[psutil.Process] = []
        while len(workers) < 2 or any(worker.cpu_times().user < 1 for worker in workers):
            workers = psutil.Process(main.pid).children()
            time.sleep(0.1)
        main.send_signal(signal.SIGINT)
        main.wait(timeout=30)
    assert main.returncode != 0
    assert not any(worker.is_running() for worker in workers)


def test_importing_is_light() -> None:
    code = "import sys, select2reason.grading; print({'sympy', 'math_verify', 'antlr4', 'torch'} & set(sys.modules))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.check_output([sys.executable, "-c", code], env=env) == b"set()\n"


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"timeout_s": 0}, {"timeout_s": float("nan")}, {"memory_bytes": 0}])
def test_a_grader_without_means_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="a grader needs at least a worker, some time and some memory"):
        Grader(**wrong)  # type: ignore[arg-type]
