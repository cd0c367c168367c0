"""Several scoring processes: the same scores as one, each with a GPU of its own, and a failure that ends them all."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from select2reason import questions
from select2reason.errors import RunError, UsageError
from select2reason.questions import Questions
from select2reason.scoring import ScorerSpec, read_scores, score
from select2reason.scoring.base import missing_shards


class Where:
    """Scores a question by its number, and tells the GPU that it was given; `fault` says what happens at number 9."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        number = batch["question"].str.slice(1).cast(pl.Int64)
        if self.fault and (number == 9).any():
            if self.fault == "dies":
                os._exit(7)
            raise UsageError("the model is not there")
        gpu = os.environ["CUDA_VISIBLE_DEVICES"]
        return pl.DataFrame({"number": number, "gpu": [gpu] * batch.height})

    def close(self) -> None:
        """Nothing."""


def spec(fault: str = "", workers: int = 2) -> ScorerSpec:
    outputs = {"number": pl.Int64, "gpu": pl.String}
    return ScorerSpec("where", "v1", ("question",), outputs, partial(Where, fault), workers=partial(int, workers))


class Slow:
    """Takes its time."""

    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        time.sleep(0.3)
        return pl.DataFrame({"number": batch["question"].str.slice(1).cast(pl.Int64), "gpu": ["0"] * batch.height})

    def close(self) -> None:
        """Nothing."""


def score_slowly(asked: Questions) -> None:
    score(asked.pool, replace(spec(), make=Slow))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Questions:
    monkeypatch.setattr(questions, "SHARD_QUESTIONS", 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    return questions.of_column(pl.Series([f"q{n}" for n in range(20)]), tmp_path)


def test_workers_score_every_shard_once_each_on_its_gpu(asked: Questions) -> None:
    told: list[int] = []
    score(asked.pool, spec(), progress=told.append)
    found = read_scores(asked.pool, spec())
    assert found["number"].to_list() == list(range(20))
    assert set(found["gpu"]) <= {"4", "6"}
    assert sum(told) == 20


def test_what_a_worker_refuses_is_the_users_to_know(asked: Questions) -> None:
    with pytest.raises(UsageError, match="the model is not there"):
        score(asked.pool, spec("refuses"))
    assert 3 in missing_shards(asked.pool, spec())


def test_a_worker_that_dies_ends_the_run_with_a_line_and_the_next_goes_on(asked: Questions) -> None:
    with pytest.raises(RunError, match=r"died \(exit code 7\); run the same command again"):
        score(asked.pool, spec("dies"))
    score(asked.pool, spec())
    assert read_scores(asked.pool, spec())["number"].to_list() == list(range(20))


def test_workers_end_with_the_run_that_started_them(asked: Questions) -> None:
    run = multiprocessing.get_context("spawn").Process(target=score_slowly, args=(asked,))
    run.start()
    while len(missing_shards(asked.pool, spec())) > 5:
        time.sleep(0.02)
    run.kill()
    run.join()
    time.sleep(1)  # what was under way may still be put away
    left = missing_shards(asked.pool, spec())
    time.sleep(1.5)
    assert missing_shards(asked.pool, spec()) == left != []
