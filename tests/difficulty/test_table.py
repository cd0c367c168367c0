"""`difficulty` on the command line: the table comes back with its scores, and labels say what they are worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.conftest import WriteRows

from select2reason.cli import whole_app
from select2reason.difficulty.reward import load_builtin
from select2reason.errors import OutputError, Select2ReasonError, UsageError

HARD = r"Prove that for all positive integers $n$ the sum $\sum_{k=1}^n \binom{n}{k}^2$ has a prime factor below $n^2$."
ROWS: list[dict[str, Any]] = [
    {"problem": "What is 2 + 2?", "level": 1, "rate": 1.0, "difficulty": "low"},
    {"problem": None, "level": 3, "rate": 0.5, "difficulty": None},
    {"problem": HARD, "level": 5, "rate": 0.1, "difficulty": "high"},
    {"problem": "What is 2 + 2?", "level": 1, "rate": 0.9, "difficulty": "low"},
]


def run(*arguments: Path | str) -> None:
    """The command itself, its errors unprinted."""
    whole_app()(list(map(str, arguments)), standalone_mode=False)


def test_columns_and_order_stay_and_a_blank_question_is_null(write_rows: WriteRows, tmp_path: Path) -> None:
    run("difficulty", write_rows(ROWS), "--out", tmp_path / "out.parquet")
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table.columns == ["problem", "level", "rate", "difficulty_input", "difficulty"]
    assert table["difficulty_input"].to_list() == ["low", None, "high", "low"]
    expected = load_builtin().predict(pl.Series(["What is 2 + 2?", HARD]))
    assert table["difficulty"].to_list() == pytest.approx([expected[0], None, expected[1], expected[0]])


def test_gold_answers_are_read_where_there_are_some(write_rows: WriteRows, tmp_path: Path) -> None:
    golds = ["4", None, r"\frac{7\sqrt{3}}{12}", "22"]
    rows = [{**row, "gold": gold} for row, gold in zip(ROWS, golds, strict=True)]
    table = write_rows(rows)
    run("difficulty", table, "--out", tmp_path / "out.parquet")
    expected = load_builtin().predict(pl.Series([row["problem"] for row in rows]), pl.Series(golds))
    assert pl.read_parquet(tmp_path / "out.parquet")["difficulty"].to_list() == pytest.approx(
        [expected[0], None, expected[2], expected[3]]
    )
    assert expected[0] != expected[3]


def test_it_can_be_run_on_its_own_output(write_rows: WriteRows, tmp_path: Path) -> None:
    run("difficulty", write_rows(ROWS), "--out", tmp_path / "a.jsonl")
    run("difficulty", tmp_path / "a.jsonl", "--out", tmp_path / "b.jsonl")
    names = [name for name in pl.read_ndjson(tmp_path / "b.jsonl").columns if name.startswith("difficulty")]
    assert sorted(names) == ["difficulty", "difficulty_input", "difficulty_input_"]


@pytest.mark.parametrize("options", [["--labels", "level"], ["--labels", "rate", "--pass-rates"]])
def test_labels_tell_how_well_it_ranks(
    write_rows: WriteRows, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    table = write_rows(ROWS)
    run("difficulty", table, "--out", tmp_path / "out.parquet", *options, "--json")
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["scored"]) == (4, 3)
    checked = told["validation"]
    assert (checked["n"], checked["missing"]) == (3, 1)
    assert checked["spearman"] > 0.8
    assert (checked["rmse"] is None) == ("--pass-rates" not in options)
    run("difficulty", table, "--out", tmp_path / "out.parquet", *options, "--force")
    assert "| length of the question alone |" in capsys.readouterr().out


def test_a_column_of_ones_own_is_compared_with_labels(
    write_rows: WriteRows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ("--difficulty", "column:level", "--labels", "rate", "--pass-rates", "--json")
    run("difficulty", write_rows(ROWS), "--out", tmp_path / "out.parquet", *own)
    assert json.loads(capsys.readouterr().out)["validation"]["n"] > 0
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table["difficulty"].to_list() == table["level"].cast(pl.Float64).to_list()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["--labels", "nope"], UsageError, "--labels nope: no such column; the table has problem, level"),
        (["--labels", "level", "--pass-rates"], UsageError, "--labels level: pass rates must lie in 0..1; found 3"),
        (["--pass-rates"], UsageError, "name their column with --labels COLUMN"),
        (["--difficulty", "column:no"], UsageError, "--difficulty column no: no such column; the table has problem"),
        (["--difficulty", "oracle"], UsageError, "--difficulty oracle is not known; it can be builtin, judge"),
        (["--difficulty", "reward:nowhere"], UsageError, "give a folder that `select2reason reward fit` wrote"),
        (["--model", "m"], UsageError, "--difficulty builtin asks no model"),
        (["--judge-prompt", "hard?", "--difficulty", "judge"], UsageError, "must hold"),
        (["--difficulty", "judge", "--backend", "openai"], UsageError, "needs the server's address"),
        (["--difficulty", "judge", "--backend", "vllm", "--base-url", "http://x"], UsageError, "--base-url is for"),
        (["--out", "t.csv"], OutputError, "give it one of these endings"),
    ],
)
def test_wrong_settings_are_one_line_and_write_nothing(
    write_rows: WriteRows, tmp_path: Path, options: list[str], error: type[Select2ReasonError], message: str
) -> None:
    with pytest.raises(error, match=message):
        run("difficulty", write_rows(ROWS), "--out", tmp_path / "out.parquet", *options)
    assert not (tmp_path / "out.parquet").exists()


def test_a_fitted_model_scores_tables_and_pools(
    write_rows: WriteRows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rollout-like rates in, a reward model, and both ways to use it."""
    rated = [{"question": f"{word} {n} apples.", "pass_rate": rate} for n in range(60) for word, rate in KINDS]
    run("reward", "fit", write_rows(rated, "rated.jsonl"), "--out", tmp_path / "model", "--json")
    assert json.loads(capsys.readouterr().out)["held_out"] == 12
    run("reward", "eval", tmp_path / "model", write_rows(rated, "rated.jsonl"), "--json")
    assert json.loads(capsys.readouterr().out)["seen"] == 108
    named = ["--difficulty", f"reward:{tmp_path / 'model'}"]
    labels = ["--labels", "pass_rate", "--pass-rates"]
    run("difficulty", write_rows(rated, "rated.jsonl"), *named, *labels, "--out", tmp_path / "out.parquet")
    assert "the model was fitted on 108 of these 120 questions" in capsys.readouterr().out
    scored = pl.read_parquet(tmp_path / "out.parquet")
    hard, easy = (scored.filter(pl.col("pass_rate") == rate)["difficulty"] for rate in (0.1, 0.9))
    assert hard.min() > easy.max()  # type: ignore[operator]
    pool = [{"question": row["question"], "response": f"<think>\n{n}\n</think>\n1"} for n, row in enumerate(rated)]
    run("select", write_rows(pool), *named, "--rows", "5", "--strategy", "hardest", "--out", tmp_path / "best")
    chosen = pl.read_parquet(tmp_path / "best/data/*.parquet")
    assert chosen["question"].str.starts_with("Prove").all()


KINDS = (("Prove", 0.1), ("Count", 0.9))


def test_scores_made_before_are_found_by_select(
    write_rows: WriteRows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = write_rows([{"question": "What is 2 + 2?", "response": "<think>\n4\n</think>\n4"}])
    run("score", pool, "--json")
    told = capsys.readouterr()
    assert json.loads(told.out)["missing"] == 0
    assert "scored while reading" in told.err
    run("select", pool, "--out", tmp_path / "out", "--rows", "1")
    assert "plan: difficulty-builtin: scored already" in capsys.readouterr().err
