"""Rollouts from the table to the pass rates: a real server on loopback, real grading, and every count by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

pytest.importorskip("openai", reason="needs openai")

from tests.conftest import WriteRows
from tests.loopback import Loopback, Reply, said, serving

from select2reason.backends import BackendSettings
from select2reason.backends.base import Sampling
from select2reason.difficulty.rollout import RATES, RolloutOutcome, roll_out, rollout_difficulty, stratified
from select2reason.errors import OutputError, UsageError
from select2reason.tables import read_table

HOW = Sampling(n=4, temperature=1.0, max_tokens=100)
ROWS = [
    {"question": "easy", "answer": "1/2"},
    {"question": "half", "answer": "4"},
    {"question": "never", "answer": "9"},
    {"question": "long", "answer": "5"},
    {"question": "no gold", "answer": None},
    {"question": None, "answer": "1"},
    {"question": "proof", "answer": "proof"},
    {"question": "half", "answer": "4"},
]


def answering(path: str, body: Mapping[str, Any], number: int) -> Reply:
    """Right always, every other time, never, only when allowed to go on, and to what has no gold answer."""
    asked, odd = body["messages"][-1]["content"], body["seed"] % 2
    cut = asked == "long" and body["max_tokens"] < 500
    texts = {
        "easy": r"So \boxed{\frac{1}{2}}.",
        "half": r"\boxed{4}" if odd else r"\boxed{5}",
        "never": "I do not know.",
        "long": "Let me think" if cut else r"\boxed{5}",
        "proof": r"\boxed{yes}",
    }
    return Reply(said(texts[asked], finish="length" if cut else "stop"))


def rolled(server: Loopback, table: Path, out: Path, how: Sampling = HOW, **options: Any) -> RolloutOutcome:
    engine = BackendSettings("openai", "m", base_url=server.url)
    return roll_out(read_table([str(table)]), out, engine=engine, sampling=how, **options)


def test_pass_rates_by_hand(write_rows: WriteRows, tmp_path: Path) -> None:
    with serving(answering) as server:
        outcome = rolled(server, write_rows(ROWS), tmp_path / "out")
        asked = len(server.asked)
    rates = pl.read_parquet(tmp_path / "out" / RATES)
    assert rates["row"].to_list() == [0, 1, 2, 3, 6]
    assert rates["question"].to_list() == ["easy", "half", "never", "long", "proof"]
    assert rates["pass_rate"].to_list() == [1.0, 0.5, 0.0, 0.0, None]
    assert rates["pass_rate_stderr"].to_list() == [0.0, 0.25, 0.0, 0.0, None]
    assert rates["difficulty"].to_list() == [0.0, 0.5, 1.0, 1.0, None]
    assert rates["never_solved"].to_list() == [False, False, True, True, None]
    assert rates["n"].to_list() == [4, 4, 4, 4, 0]
    assert rates["cut_off"].to_list() == [0, 0, 0, 4, 0]
    assert rates["no_answer"].to_list() == [0, 0, 4, 4, 0]
    assert asked == 20  # the question that stands twice is asked once
    assert (outcome.questions, outcome.answers, outcome.drawn, outcome.judged) == (5, 20, 20, 4)
    assert outcome.mean_pass_rate == pytest.approx(1.5 / 4)
    assert (outcome.never_solved, outcome.cut_off) == (2, 4)
    assert [note.split()[0] for note in outcome.notes] == ["4", "2", "1"]


def test_again_nothing_is_asked_and_a_larger_limit_asks_for_the_cut_off_ones_alone(
    write_rows: WriteRows, tmp_path: Path
) -> None:
    table, out = write_rows(ROWS), tmp_path / "out"
    with serving(answering) as server:
        rolled(server, table, out)
        first = (out / RATES).read_bytes()
        server.asked.clear()
        assert rolled(server, table, out).drawn == 0
        assert server.asked == []
        assert (out / RATES).read_bytes() == first
        assert rolled(server, table, out, replace(HOW, max_tokens=1000)).drawn == 4
        assert {body["messages"][-1]["content"] for body in server.asked} == {"long"}
        fewer = rolled(server, table, out, replace(HOW, n=2, max_tokens=1000))
    assert "holds up to 4 answers a question; these pass rates are of the first 2 of each" in fewer.notes[-1]
    assert pl.read_parquet(out / RATES)["n"].to_list() == [2, 2, 2, 2, 0]
    with serving(answering) as server:
        assert not any(
            "holds up to" in note for note in rolled(server, table, out, replace(HOW, max_tokens=1000)).notes
        )
    assert pl.read_parquet(out / RATES)["pass_rate"].to_list() == [1.0, 0.5, 0.0, 1.0, None]


def test_answers_of_another_model_or_prompt_are_not_mixed(write_rows: WriteRows, tmp_path: Path) -> None:
    table, out = write_rows(ROWS[:1]), tmp_path / "out"
    with serving(answering) as server:
        rolled(server, table, out)
        for options in ({"system": "Be brief."}, {"how": replace(HOW, temperature=0.5)}):
            with pytest.raises(OutputError, match=r"holds answers drawn with another (system|temperature) \("):
                rolled(server, table, out, **options)
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "mine.txt").touch()
        with pytest.raises(OutputError, match="holds something else"):
            rolled(server, table, tmp_path / "full")


def test_many_answers_that_cannot_be_judged_are_no_obstacle(write_rows: WriteRows, tmp_path: Path) -> None:
    rows = [{"question": f"proof {n}", "answer": "proof"} for n in range(120)] + ROWS[:1]
    with serving(lambda path, body, number: Reply(said(r"\boxed{1/2}"))) as server:
        rolled(server, write_rows(rows), tmp_path / "out", replace(HOW, n=1))
    assert pl.read_parquet(tmp_path / "out" / RATES)["pass_rate"].to_list() == [None] * 120 + [1.0]


def test_nothing_to_grade_by_is_refused(write_rows: WriteRows, tmp_path: Path) -> None:
    with serving(answering) as server, pytest.raises(UsageError, match="no row has a question and a gold answer"):
        rolled(server, write_rows([{"question": "easy"}]), tmp_path / "out")


def test_a_sample_is_spread_over_every_difficulty() -> None:
    texts = [f"What is {n} + {n}?" for n in range(50)]
    hard = r"Prove that for all integers $n > {n}$ the sum $\sum_{k} \binom{n}{k}^2$ is divisible by a prime $p$."
    texts += [hard.replace("{n}", str(n)) for n in range(50)]
    questions, golds = pl.Series(texts), pl.Series([None] * len(texts), dtype=pl.String)
    for seed in range(3):
        rows = stratified(questions, golds, 20, seed)
        assert len(set(rows.tolist())) == 20
        assert np.array_equal(rows, np.sort(rows))
        assert (rows < 50).sum() == 10
    assert not np.array_equal(stratified(questions, golds, 20, 0), stratified(questions, golds, 20, 1))
    assert len(stratified(questions[:3], golds[:3], 2, 0)) == 2


def test_rollouts_are_difficulty_by_question(tmp_path: Path) -> None:
    rates = {
        "question": ["a", "b", "b", "c", "c", "a", "d"],
        "difficulty": [0.25, 0.5, 0.5, 0.1, 0.9, None, None],
        "pass_rate": [0.75, 0.5, 0.5, 0.9, 0.1, None, None],
        "pass_rate_stderr": [0.1] * 5 + [None] * 2,
        "never_solved": [False] * 5 + [None] * 2,
    }
    pl.DataFrame(rates).write_parquet(tmp_path / RATES)
    found = rollout_difficulty(tmp_path, pl.Series(["b", "x", "a", "c", "b", "d"]))
    assert found["difficulty"].to_list() == [0.5, None, 0.25, None, 0.5, None]
    assert found.columns == ["difficulty", "pass_rate", "pass_rate_stderr", "never_solved"]
    with pytest.raises(UsageError, match="none of these questions was asked"):
        rollout_difficulty(tmp_path, pl.Series(["x"]))
    with pytest.raises(UsageError, match="give a folder that `select2reason rollout` wrote"):
        rollout_difficulty(tmp_path / "nowhere", pl.Series(["x"]))
    assert math.isclose(sum(found["pass_rate"].drop_nulls()), 1.75)
    (tmp_path / RATES).write_bytes((tmp_path / RATES).read_bytes()[:200])
    with pytest.raises(UsageError, match=r"pass_rates.parquet is damaged .* run the same rollout again"):
        rollout_difficulty(tmp_path, pl.Series(["a"]))
