"""How many cores a process takes to be its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_TELL = """
from select2reason.cores import cores
from select2reason.grading import Grader
from select2reason.tokens import load_tokenizer
print(cores(), Grader()._most, load_tokenizer()._workers._max_workers)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to a core")
def test_a_process_that_is_bound_to_one_core_starts_no_more_workers() -> None:
    one = min(os.sched_getaffinity(0))
    told = subprocess.run(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{one}])\n{_TELL}"],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "POLARS_MAX_THREADS"},
    )
    assert told.stdout.split() == ["1", "1", "1"]


def test_a_number_of_threads_that_is_asked_for_counts() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _TELL],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"POLARS_MAX_THREADS": "6"},
    )
    assert told.stdout.split() == ["6", "6", "3"]
