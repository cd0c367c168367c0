"""Majorities and pass rates on real samples: 67 MATH questions, 8 samples each, graded and voted on by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from select2reason.backends.base import Completion, Sampling
from select2reason.evaluation import regrade
from select2reason.evaluation.problems import Asking, read_problems, write_problems
from select2reason.sampling import Samples

BY_HAND = {  # row of the file: samples that are right of 8, and whether the majority is
    0: (8, True),
    1: (3, True),  # 3/8 has three votes, 5/16 two
    8: (4, True),  # four against four, and the right one came first
    15: (2, False),  # 11 and 4 have two votes each, and 11 came first
    22: (6, True),
    32: (1, False),  # 12.5 has two votes
    46: (3, False),  # 19 has five
    53: (7, True),
    57: (0, False),
    60: (8, True),
}


@pytest.fixture
def samples(shared: Path, tmp_path: Path) -> tuple[Path, pl.DataFrame]:
    """The file as the samples of an evaluation."""
    rows = pl.read_parquet(shared / "data/grading/qwen_math_rm_maj8_example.parquet")
    rows.select(question=pl.col("question"), gold=pl.col("gt")).write_parquet(tmp_path / "math.parquet")
    found = read_problems(str(tmp_path / "math.parquet"))
    asking = Asking(Sampling(n=8, temperature=0.7), "", "Qwen2.5-Math")
    folder = tmp_path / "out" / "math"
    with Samples(folder / "samples.jsonl") as kept:
        for problem, texts in zip(found.problems, rows["code"], strict=True):
            for number, text in enumerate(texts):
                kept.add(asking.asked(problem).key, number, Completion(text, None, cut_off=False), asking.sampling)
    write_problems(found, asking, folder / "problems.jsonl")
    return tmp_path / "out", rows


def test_ten_problems_by_hand_and_all_by_their_stored_grades(samples: tuple[Path, pl.DataFrame]) -> None:
    out, rows = samples
    done = regrade(out, out, workers=2)
    problems = pl.read_parquet(out / "problems.parquet")
    found = list(zip(problems["right"], problems["majority_correct"], strict=True))
    assert {row: found[row] for row in BY_HAND} == BY_HAND
    stored = []  # where two predictions of a row differ as texts, they differ as numbers
    for predictions, grades in zip(rows["pred"].to_list(), rows["score"].to_list(), strict=True):
        (winner, _), *_ = Counter(predictions).most_common(1)
        stored.append((sum(grades), grades[predictions.index(winner)]))
    assert found == stored
    score = done.benchmarks[0]
    assert score.pass_at_1.value == pytest.approx(sum(right for right, _ in stored) / 8 / 67)
    assert score.majority is not None and score.majority.value == pytest.approx(sum(best for _, best in stored) / 67)
    assert score.tokens.value is None  # the file does not tell them
