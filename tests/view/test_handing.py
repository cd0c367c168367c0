"""A choice handed on: options of the recorded command, and what takes their place."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from select2reason.cli.viewing import _recorded
from select2reason.errors import UsageError
from select2reason.recipe import read_recipe
from select2reason.view import Recorded
from select2reason.view.explored import Asked

COMMAND = (
    "select2reason select a.jsonl 'my pool/*.parquet' --token-budget 9000 --strategy hardest --preset=paper "
    "--keep cut_off --columns question=q,response=r --out best --force"
)


def test_the_recorded_command_is_read_as_the_command_line_reads_it() -> None:
    recorded = _recorded({"command": COMMAND, "selected": 12}, None)
    assert recorded.pools == ("a.jsonl", "my pool/*.parquet")
    assert recorded.options == {
        "token_budget": 9000,
        "strategy": "hardest",
        "preset": "paper",
        "keep": "cut_off",
        "columns": "question=q,response=r",
        "out": "best",
        "force": True,
    }


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        (Asked(), "--token-budget 9000 --strategy hardest"),
        (Asked(weight=0.5), "--weight 0.5 --rows 12"),
        (Asked(fraction=Decimal("0.07")), "--fraction 0.07"),
        (Asked(weight=0.0, rows=3), "--weight 0.0 --rows 3"),
    ],
)
def test_a_choice_takes_the_place_of_the_recorded_one(asked: Asked, options: str) -> None:
    words = _recorded({"command": COMMAND, "selected": 12}, Path("kept")).command(asked, "new")
    kept = ["--preset", "paper", "--keep", "cut_off", "--columns", "question=q,response=r", "--cache-dir", "kept"]
    assert words[:3] == ["select", "a.jsonl", "my pool/*.parquet"]
    assert words[-2:] == ["--out", "new"]
    rest = words[3:-2]
    assert sorted(rest) == sorted([*options.split(), *kept])


def test_a_recorded_fraction_stays_where_the_weight_alone_is_moved() -> None:
    recorded = _recorded({"command": "select2reason select p --fraction 10% --out x", "selected": 4}, None)
    words = recorded.command(Asked(weight=0.9), "y")
    assert words == ["select", "p", "--fraction", "10%", "--weight", "0.9", "--out", "y"]


def test_a_selection_made_through_python_says_how_to_go_on() -> None:
    with pytest.raises(UsageError, match=r"made through Python.*SelectSettings\(weight="):
        _recorded({"command": "", "selected": 4}, None).command(Asked(weight=0.5), "x")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("select2reason run openr1-10pct", "it is no select"),
        ("select2reason select p --no-such-option 3 --out x", "No such option: --no-such-option"),
        ("select2reason select 'p", "No closing quotation"),
    ],
)
def test_a_command_that_is_not_understood_is_said_to_be(command: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"its command is not understood .*{why}.*run select by hand"):
        _recorded({"command": command, "selected": 4}, None).command(Asked(weight=0.5), "x")


def test_names_that_begin_with_a_dash_are_no_options() -> None:
    recorded = _recorded({"command": "select2reason select --out x -- -p.jsonl", "selected": 4}, None)
    assert recorded.command(Asked(), "--force") == ["select", "--out", "./--force", "--", "-p.jsonl"]


def test_a_model_s_own_code_is_not_run_on_a_file_s_word() -> None:
    recorded = _recorded(
        {"command": "select2reason select p --difficulty judge --trust-remote-code --out x", "selected": 4}, None
    )
    assert recorded.command(Asked(), "y") == ["select", "p", "--difficulty", "judge", "--out", "y"]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3), st.text())
def test_any_path_and_any_value_stands_in_a_recipe_as_it_is(pools: list[str], value: str) -> None:
    text = Recorded(tuple(pools), {"columns": value}, 1).recipe(Asked(weight=0.5))
    absolute = [str(Path(pool).absolute()) if Path(pool).parent.exists() else pool for pool in pools]
    assert tomllib.loads(text)["select"] == {"pool": absolute, "columns": value, "weight": 0.5}


def test_what_options_name_here_is_found_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rates").mkdir()
    (tmp_path / "own").mkdir()
    given = {"difficulty": "rollout:rates", "benchmark_files": "a.jsonl,o/hub", "tokenizer": "own", "layout": "own"}
    text = Recorded(("p.jsonl",), given, 1).recipe(Asked(weight=0.5))
    assert tomllib.loads(text)["select"] == {
        "pool": [str(tmp_path / "p.jsonl")],
        "difficulty": f"rollout:{tmp_path}/rates",
        "benchmark_files": f"{tmp_path}/a.jsonl,o/hub",
        "tokenizer": f"{tmp_path}/own",
        "layout": "own",
        "weight": 0.5,
    }
    text = Recorded(("p.jsonl",), {"difficulty": "column:rates", "tokenizer": "builtin"}, 1).recipe(Asked(weight=0.5))
    assert (read := tomllib.loads(text)["select"])["difficulty"] == "column:rates"
    assert read["tokenizer"] == "builtin"


def test_the_recipe_can_be_run(tmp_path: Path) -> None:
    file = tmp_path / "choice.toml"
    file.write_text(_recorded({"command": COMMAND, "selected": 12}, None).recipe(Asked(weight=0.5)))
    (stage,) = read_recipe(file, tmp_path / "run").stages
    assert stage.words[0] == "select"
    assert "--weight" in stage.words
