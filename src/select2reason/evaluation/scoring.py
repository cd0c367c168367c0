"""From kept samples to figures: nothing here asks a model, so that the same samples can be graded again at any time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from select2reason import tags, trace
from select2reason.backends.base import Completion, Sampling
from select2reason.evaluation.conclusions import Conclusions, conclusions
from select2reason.evaluation.majority import majorities
from select2reason.evaluation.metrics import Figure, mean, pass_at_k
from select2reason.evaluation.problems import Asking, Problem, ProblemSet
from select2reason.grading import Grader, gold_answer, verdicts
from select2reason.grading.rules import is_gold
from select2reason.progress import stage
from select2reason.sampling import Samples

_BATCH = 256  # problems whose answers are in memory at once

ANSWER_COLUMNS = {  # `chat` and `sample` name the line of samples.jsonl, `row` the problem
    "benchmark": pl.String,
    "row": pl.UInt32,
    "chat": pl.String,
    "sample": pl.UInt32,
    "answer": pl.String,
    "correct": pl.Boolean,
    "tokens": pl.UInt32,
    "rethinking_tokens": pl.UInt32,
    "cut_off": pl.Boolean,
}
PROBLEM_COLUMNS = {
    "benchmark": pl.String,
    "row": pl.UInt32,
    "key": pl.String,
    "question": pl.String,
    "gold": pl.String,
    "gradable": pl.Boolean,
    "n": pl.UInt32,
    "temperature": pl.Float64,
    "max_tokens": pl.UInt32,
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


@dataclass(frozen=True, slots=True)
class Score:
    """A benchmark's figures. `sampling.n` samples a problem were asked for, `answers` are kept; `missing` are not drawn
    yet, or are to be redrawn with a larger limit; `unused` are kept, but of problems or numbers not asked for now.

    `pass_at_1` is over the samples that could be judged, `pass_at_1_low` and `_high` count the others as wrong and as
    right. `pass_at_k` is over problems all of whose samples are there and judged, `majority` (maj@n, None for n = 1)
    over those all of whose samples are there and whose majority is judged. `rethinking_tokens` is a mean per answer
    over problems, `tokens` too where the engine told them; `cut_off` and `no_answer` are shares of the answers.
    `ungradable` problems have no gold answer to judge by; `repeated` ones are the same as one before them.
    """

    benchmark: str
    title: str
    source: str
    system: str
    sampling: Sampling
    expected: int | None
    rows: int
    problems: int
    repeated: int
    ungradable: int
    answers: int
    missing: int
    unused: int
    not_judged: int
    pass_at_1: Figure
    pass_at_1_low: float | None
    pass_at_1_high: float | None
    pass_at_k: dict[str, Figure]
    majority: Figure | None
    tokens: Figure
    rethinking_tokens: Figure
    cut_off: float | None
    no_answer: float | None


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
            parts.append(_graded(found, asking, some, completions, grader))
            advance(len(some))
        missing = sum(len(kept.missing(key, asking.sampling)) for key in dict.fromkeys(keys))
        held = kept.answers
    by_problem, by_answer = (pl.concat(frames) for frames in zip(*parts, strict=True))
    used = by_problem.with_columns(chat=pl.Series(keys)).unique("chat")["samples"].sum()
    return Scored(_score(found, asking, by_problem, missing=missing, unused=held - used), by_problem, by_answer)


# --- samples to problems --------------------------------------------------------------------------------------------


def _graded(
    found: ProblemSet,
    asking: Asking,
    problems: Sequence[Problem],
    completions: Sequence[Sequence[Completion]],
    grader: Grader,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Some problems (PROBLEM_COLUMNS) and their answers (ANSWER_COLUMNS)."""
    concluded = conclusions(
        found.benchmark.form, problems, [[one.text for one in some] for some in completions], grader
    )
    judged = verdicts(concluded.results, [problem.gold for problem in problems], grader)
    chats = [asking.asked(problem).key for problem in problems]
    answers = _answers(chats, problems, completions, concluded, judged).with_columns(
        benchmark=pl.lit(found.benchmark.name)
    )
    most = majorities(concluded.results, grader)
    asked = pl.DataFrame(
        {
            "row": [problem.row for problem in problems],
            "key": [problem.key for problem in problems],
            "question": [problem.question for problem in problems],
            "gold": [problem.gold for problem in problems],
            "gradable": [is_gold(gold_answer(problem.gold)) for problem in problems],
            "sample": [None if one is None else one.sample for one in most],
            "majority_votes": [0 if one is None else one.votes for one in most],
        },
        schema_overrides={"row": pl.UInt32, "sample": pl.UInt32},
    )
    drawn = {name: getattr(asking.sampling, name) for name in ("n", "temperature", "max_tokens")}
    alike = {"benchmark": found.benchmark.name, **drawn}
    asked = asked.with_columns(pl.lit(value).alias(name) for name, value in alike.items())
    return _as(_by_problem(asked, answers), PROBLEM_COLUMNS), _as(answers, ANSWER_COLUMNS)


def _answers(
    chats: Sequence[str],
    problems: Sequence[Problem],
    completions: Sequence[Sequence[Completion]],
    concluded: Conclusions,
    judged: Sequence[Sequence[bool | None]],
) -> pl.DataFrame:
    """One row a sample; what is unclear is not judged."""
    each = zip(chats, problems, concluded.results, judged, completions, strict=True)
    rows = [
        (problem.row, chat, number, result, verdict, one.tokens, one.cut_off, (at, result) in concluded.unclear)
        for at, (chat, problem, *some) in enumerate(each)
        for number, (result, verdict, one) in enumerate(zip(*some, strict=True))
    ]
    columns = ["row", "chat", "sample", "answer", "correct", "tokens", "cut_off"]
    schema = {**{name: ANSWER_COLUMNS[name] for name in columns}, "unclear": pl.Boolean}
    words = _rethinking([one.text for some in completions for one in some])
    frame = pl.DataFrame(rows, schema, orient="row").with_columns(rethinking_tokens=words)
    return frame.with_columns(correct=pl.when(~pl.col("unclear")).then("correct"))


def _by_problem(asked: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Answers reduced to problems. Where no sample has an answer the majority is wrong, if that can be judged."""
    reduced = answers.group_by("row").agg(
        samples=pl.len(),
        judged=pl.col("correct").count(),
        right=pl.col("correct").sum(),
        mean_tokens=pl.col("tokens").mean(),
        mean_rethinking_tokens=pl.col("rethinking_tokens").mean(),
        cut_off=pl.col("cut_off").sum(),
        no_answer=pl.col("answer").is_null().sum(),
    )
    winners = answers.select("row", "sample", majority="answer", majority_correct="correct")
    counts = ("samples", "judged", "right", "cut_off", "no_answer")
    return (
        asked.join(reduced, on="row", how="left", maintain_order="left")
        .join(winners, on=["row", "sample"], how="left", maintain_order="left")
        .with_columns(pl.col(counts).fill_null(0))
        .with_columns(
            pass_at_1=pl.when(pl.col("judged") > 0).then(pl.col("right") / pl.col("judged")),
            majority_correct=pl.when(pl.col("sample").is_null() & (pl.col("judged") > 0))
            .then(pl.lit(False))
            .otherwise("majority_correct"),
        )
    )


def _as(frame: pl.DataFrame, schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _rethinking(texts: Sequence[str]) -> pl.Series:
    """Rethinking tokens of each answer's normalised trace (METHOD 9.8); without think tags the answer is all trace."""
    flat = pl.Series(texts, dtype=pl.String)
    if not texts:
        return pl.Series("rethinking_tokens", [], dtype=pl.UInt32)
    return pl.Series("rethinking_tokens", trace.rethinking_tokens(tags.split_response(flat)["trace"]), dtype=pl.UInt32)


# --- problems to figures --------------------------------------------------------------------------------------------


def _score(found: ProblemSet, asking: Asking, problems: pl.DataFrame, *, missing: int, unused: int) -> Score:
    n, right, samples = (problems[name].cast(pl.Int64).to_numpy() for name in ("judged", "right", "samples"))
    asked = asking.sampling.n
    there, judged = samples == asked, n == asked
    graded = problems.filter(pl.col("gradable") & (pl.col("samples") > 0))
    return Score(
        benchmark=found.benchmark.name,
        title=found.benchmark.title,
        source=found.source,
        system=asking.system,
        sampling=asking.sampling,
        expected=found.benchmark.problems,
        rows=found.rows,
        problems=problems.height,
        repeated=problems.height - problems["key"].n_unique(),
        ungradable=int((~problems["gradable"]).sum()),
        answers=int(samples.sum()),
        missing=missing,
        unused=unused,
        not_judged=int((graded["samples"] - graded["judged"]).sum()),
        pass_at_1=mean(_floats(problems["pass_at_1"])),
        pass_at_1_low=_share(graded, pl.col("right")),
        pass_at_1_high=_share(graded, pl.col("right") + pl.col("samples") - pl.col("judged")),
        pass_at_k={str(k): mean(pass_at_k(n[judged], right[judged], k)) for k in _powers(asked)},
        majority=mean(_floats(problems["majority_correct"].filter(there))) if asked > 1 else None,
        tokens=mean(_floats(problems["mean_tokens"])),
        rethinking_tokens=mean(_floats(problems["mean_rethinking_tokens"])),
        cut_off=_of_answers(problems, "cut_off"),
        no_answer=_of_answers(problems, "no_answer"),
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
