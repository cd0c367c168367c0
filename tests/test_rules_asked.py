"""--checks used asks what a rule or a setting goes by, so it never changes what is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from .conftest import WriteRows
from .runs import SAFE, question_row, run


@pytest.mark.parametrize(
    "keep", [(), ("wrong_answer", "no_answer"), ("wrong_answer", "looping", "cut_off", "duplicate")]
)
def test_what_is_asked_changes_no_choice(keep: tuple[str, ...], write_rows: WriteRows, tmp_path: Path) -> None:
    flags = [True, None, None, False] * 3
    rows = [
        question_row(n // 2, length=1 + 20 * (n % 2), correctness_math_verify=[flag]) for n, flag in enumerate(flags)
    ]
    chosen, pool = replace(SAFE, keep=keep), write_rows(rows)
    every = run(pool, tmp_path / "all", replace(chosen, checks="all"))
    used = run(pool, tmp_path / "used", replace(chosen, checks="used"))
    assert used["reason"].to_list() == every["reason"].to_list()
    assert every["reason"][0] == "same_question"  # the longer one is right as well, which its gold answer tells
