"""docs/security.md names the tests that show what it says, and leaves none of them out."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
REPORTING = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_is_there_and_every_one_here_is_named() -> None:
    linked = set(re.findall(r"\[(test_\w+\.py)\]", PAGE))
    named = set(re.findall(r"`(test_\w+\.py)`", PAGE))
    here = {file.name for file in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert named == here
    assert all((ROOT / "docs" / link).is_file() for link in re.findall(r"\]\((\.\./tests/[^)]+\.py)\)", PAGE))
    assert linked and not linked & here


def test_reporting_leads_to_the_repository_and_to_no_address_that_nobody_reads() -> None:
    assert "private vulnerability reporting" in REPORTING
    assert not re.search(r"[\w.]+@[\w.]+", REPORTING + PAGE)
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", REPORTING):
        assert (ROOT / link).exists(), link
