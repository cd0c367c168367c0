"""From kept samples to figures: nothing here asks a model, so that the same samples can be graded again at any time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from select2reason import tags, trace
from select2reason.answering import mean_tokens, verdicts
from select2reason.backends.base import Completion
from select2reason.evaluation.conclusions import Results, conclusions
from select2reason.evaluation.majority import Majority, majorities
from select2reason.evaluation.metrics import Figure, mean, pass_at_k
from select2reason.evaluation.problems import Asking, Problem, ProblemSet
from select2reason.grading import Grader
from select2reason.progress import stage
from select2reason.sampling import Samples

_BATCH = 256  # problems whose answers are in memory at once

PROBLEM_COLUMNS = {
    "benchmark": pl.String,
    "row": pl.UInt32,
    "key": pl.String,
    "question": pl.String,
    "gold": pl.String,
    "samples": pl.UInt32,
    "judged": pl.UInt32,
    "right": pl.UInt32,
    "pass_at_1": pl.Float64,
    "majority": pl.String,
    "majority_votes": pl.UInt32,
    "majority_correct": pl.Boolean,
    "mean_tokens": pl.Float64,
    "mean_rethinking_tokens": pl.Float64,
    "cut_off": pl.UInt32,
    "no_answer": pl.UInt32,
}
ANSWER_COLUMNS = {
    "benchmark": pl.String,
    "row": pl.UInt32,
    "sample": pl.UInt32,
    "answer": pl.String,
    "correct": pl.Boolean,
    "tokens": pl.UInt32,
    "rethinking_tokens": pl.UInt32,
    "cut_off": pl.Boolean,
}


@dataclass(frozen=True, slots=True)
class Score:
    """A benchmark's figures. `n` samples a problem were asked for, `answers` are kept, `missing` are not drawn yet.

    `pass_at_1` is over the samples that could be judged; `pass_at_1_low` and `_high` count the others as wrong and as
    right. `pass_at_k` and `majority` (maj@n) are over problems all of whose samples are there. `rethinking_tokens` are
    a mean per answer over problems, `tokens` too where the engine told them; `cut_off` and `no_answer` are shares of
    the answers. `ungraded_problems` have no gold answer that can be judged by.
    """

    benchmark: str
    title: str
    source: str
    n: int
    max_tokens: int
    temperature: float
    rows: int
    problems: int
    answers: int
    missing: int
    pass_at_1: Figure
    pass_at_1_low: float | None
    pass_at_1_high: float | None
    pass_at_k: dict[str, Figure]
    majority: Figure | None
    tokens: Figure
    rethinking_tokens: Figure
    cut_off: float | None
    no_answer: float | None
    not_judged: int
    ungraded_problems: int


@dataclass(frozen=True, slots=True)
class Scored:
    """A benchmark's figures, its problems (PROBLEM_COLUMNS) and its answers (ANSWER_COLUMNS)."""

    score: Score
    problems: pl.DataFrame
    answers: pl.DataFrame


def score_benchmark(found: ProblemSet, asking: Asking, samples: Path, grader: Grader) -> Scored:
    """Grade the kept samples of a benchmark's problems and reduce them: sample, problem, benchmark."""
    name, problems = found.benchmark.name, found.problems
    keys = [asking.asked(problem).key for problem in problems]
    parts: list[tuple[pl.DataFrame, pl.DataFrame]] = []
    with Samples(samples, read_only=True) as kept, stage(f"grading {name}", len(problems), unit="problems") as advance:
        for start in range(0, len(problems), _BATCH):
            some = problems[start : start + _BATCH]
            completions = list(kept.of(keys[start : start + _BATCH], asking.sampling.n))
            parts.append(_graded(found, some, completions, grader))
            advance(len(some))
    by_problem, by_answer = (pl.concat(frames) for frames in zip(*parts, strict=True))
    return Scored(_score(found, asking, by_problem, by_answer), by_problem, by_answer)


# --- samples to problems --------------------------------------------------------------------------------------------


def _graded(
    found: ProblemSet, problems: Sequence[Problem], completions: Sequence[Sequence[Completion]], grader: Grader
) -> tuple[pl.DataFrame, pl.DataFrame]:
    texts = [[one.text for one in some] for some in completions]
    results = conclusions(found.benchmark.form, problems, texts, grader)
    judged = verdicts(results, [problem.gold for problem in problems], grader)
    most = majorities(results, grader)
    words = _rethinking(texts)
    name = found.benchmark.name
    rows = [
        (name, *_problem_row(*one)) for one in zip(problems, completions, results, judged, most, words, strict=True)
    ]
    answers = [
        (name, problem.row, number, result, verdict, one.tokens, count, one.cut_off)
        for problem, *some in zip(problems, results, judged, completions, words, strict=True)
        for number, (result, verdict, one, count) in enumerate(zip(*some, strict=True))
    ]
    return (
        pl.DataFrame(rows, schema=PROBLEM_COLUMNS, orient="row"),
        pl.DataFrame(answers, schema=ANSWER_COLUMNS, orient="row"),
    )


def _problem_row(
    problem: Problem,
    completions: Sequence[Completion],
    results: Sequence[str | None],
    judged: Sequence[bool | None],
    most: Majority | None,
    words: Sequence[int],
) -> tuple[object, ...]:
    """PROBLEM_COLUMNS from `row` on. No sample with an answer: the majority is wrong, where that can be judged."""
    known = [verdict for verdict in judged if verdict is not None]
    return (
        problem.row,
        problem.key,
        problem.question,
        problem.gold,
        len(completions),
        len(known),
        sum(known),
        sum(known) / len(known) if known else None,
        results[most.sample] if most else None,
        most.votes if most else 0,
        judged[most.sample] if most else (False if known else None),
        mean_tokens(completions),
        sum(words) / len(words) if words else None,
        sum(one.cut_off for one in completions),
        sum(result is None for result in results),
    )


def _rethinking(texts: Results | Sequence[Sequence[str]]) -> list[list[int]]:
    """Rethinking tokens of each answer's normalised trace (METHOD 9.8); without think tags the answer is all trace."""
    flat = pl.Series([text for some in texts for text in some], dtype=pl.String)
    counts = iter(trace.rethinking_tokens(tags.split_response(flat)["trace"]).tolist() if len(flat) else [])
    return [[next(counts) for _ in some] for some in texts]


# --- problems to figures --------------------------------------------------------------------------------------------


def _score(found: ProblemSet, asking: Asking, problems: pl.DataFrame, answers: pl.DataFrame) -> Score:
    sampling = asking.sampling
    n, right, samples = (problems[name].cast(pl.Int64).to_numpy() for name in ("judged", "right", "samples"))
    graded = problems.filter((pl.col("judged") > 0) & (pl.col("samples") > 0))
    whole = (samples == sampling.n) & (n == samples)
    unjudged = graded.select((pl.col("samples") - pl.col("judged")).sum()).item()
    return Score(
        benchmark=found.benchmark.name,
        title=found.benchmark.title,
        source=found.source,
        n=sampling.n,
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        rows=found.rows,
        problems=problems.height,
        answers=answers.height,
        missing=problems.height * sampling.n - answers.height,
        pass_at_1=mean(_floats(problems["pass_at_1"])),
        pass_at_1_low=_share(graded, pl.col("right")),
        pass_at_1_high=_share(graded, pl.col("right") + pl.col("samples") - pl.col("judged")),
        pass_at_k={str(k): mean(pass_at_k(n[whole], right[whole], k)) for k in _powers(sampling.n)},
        majority=mean(_floats(problems["majority_correct"].filter(samples == sampling.n))) if sampling.n > 1 else None,
        tokens=mean(_floats(problems["mean_tokens"])),
        rethinking_tokens=mean(_floats(problems["mean_rethinking_tokens"])),
        cut_off=_of_answers(problems, "cut_off"),
        no_answer=_of_answers(problems, "no_answer"),
        not_judged=int(unjudged or 0),
        ungraded_problems=problems.filter((pl.col("judged") == 0) & (pl.col("samples") > 0)).height,
    )


def _powers(n: int) -> list[int]:
    """2, 4, 8 ... up to n, and n."""
    powers = [2**power for power in range(1, n.bit_length()) if 2**power <= n]
    return sorted({*powers, n}) if n > 1 else []


def _floats(column: pl.Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _share(graded: pl.DataFrame, counted: pl.Expr) -> float | None:
    value = graded.select((counted / pl.col("samples")).mean()).item()
    return None if value is None else float(value)


def _of_answers(problems: pl.DataFrame, name: str) -> float | None:
    samples = int(problems["samples"].sum())
    return int(problems[name].sum()) / samples if samples else None
