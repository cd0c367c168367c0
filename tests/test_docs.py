"""The pages say what the program does: every option, layout, strategy and reason is named in them."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
import typer.main

from select2reason import cli, layouts, reasons, selection
from select2reason.benchmarks import BENCHMARKS

from .conftest import WriteRows
from .runs import question_row

ROOT = Path(__file__).resolve().parents[1]
DOCS = "\n".join(path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
SAID_BY_HELP = {"--help", "--json", "--force", "--out"}
OF_RAY = {"--head", "--address", "--runtime-env-json"}  # options of the program `ray`


def options(command: str) -> set[str]:
    group = typer.main.get_command(cli.whole_app())
    for word in command.split():
        group = group.commands[word]  # type: ignore[attr-defined]
    found = {option for parameter in group.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return {option for option in found if option.startswith("--")}


COMMANDS = (
    "select", "view", "analyze", "compare", "score", "difficulty", "rollout", "reward fit", "reward eval", "grade",
    "evaluate", "demo", "cache", "export", "extend", "train", "run",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_documented(command: str) -> None:
    assert {option for option in options(command) - SAID_BY_HELP if option not in DOCS} == set()


def test_no_option_is_invented() -> None:
    real = {option for command in COMMANDS for option in options(command)}
    assert set(re.findall(r"--[a-z][a-z-]+", DOCS)) - real - OF_RAY == set()


@pytest.mark.parametrize("words", [layouts.LAYOUTS[:-1], selection.STRATEGIES, reasons.REASONS, tuple(BENCHMARKS)])
def test_every_name_is_explained(words: tuple[str, ...]) -> None:
    assert [word for word in words if f"`{word}`" not in DOCS] == []


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_python_does_what_the_page_says(write_rows: WriteRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [question_row(number, length=number + 1) for number in range(20)]
    pl.read_ndjson(write_rows(rows)).write_parquet(tmp_path / "pool.parquet")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/selecting.md").read_text(), re.DOTALL)
    exec(code, {})  # the page's own
    assert pl.read_parquet("pool-10pct/data/*.parquet").height == 2
