"""docs/reliability.md names every test of this folder, and none that is not there; `make torture` has its figures."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"


def test_every_test_that_is_named_is_there_and_every_one_here_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    linked = re.findall(r"^\|.*\| \[(test_\w+\.py)\]\(([^)]+)\) \|$", text, re.MULTILINE)
    assert all((PAGE.parent / path).is_file() and path.endswith(f"/{name}") for name, path in linked)
    here = {file.name for file in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert {name for name, _ in linked} == here


def test_no_row_is_without_a_figure() -> None:
    rows = re.findall(r"^\| (?!what was|---)(.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows and all(re.fullmatch(r"[0-9,]+(; [0-9,]+)?", row.split(" | ")[1]) for row in rows)
