"""Rollouts (METHOD 2): a model answers each question n times, the answers are graded, d = 1 - pass rate.

OUT/completions.jsonl holds every answer as it was written, OUT/pass_rates.parquet what they come to. An answer that
was cut off before it gave a result is not right; how many were is counted beside it. A question that no answer solves
is marked: it may be hard, or its gold answer wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.answering import Drawing, claim, draw_missing, folder_of_answers, same_draws, same_model
from select2reason.backends import BackendSettings
from select2reason.backends.base import Completion, Sampling
from select2reason.errors import UsageError
from select2reason.grading import Grader, final_answer, verdicts
from select2reason.progress import say, stage
from select2reason.sampling import PAPER_SYSTEM, Asked, Samples, asked, distinct, holds_answers
from select2reason.tables import Table, read_own, write_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATES = "pass_rates.parquet"
COMPLETIONS = "completions.jsonl"
SETTINGS = "rollout.json"
DEFAULT = Sampling(n=8, temperature=0.6, top_p=0.95, max_tokens=16_384)
_STRATA = 10  # tenths of the built-in difficulty, from each of which a sample takes as many
_GRADED = 256  # questions whose answers are in memory at once
_COLUMNS = {
    "row": pl.UInt32,
    "question": pl.String,
    "gold": pl.String,
    "n": pl.UInt32,
    "correct": pl.UInt32,
    "pass_rate": pl.Float64,
    "pass_rate_stderr": pl.Float64,
    "difficulty": pl.Float64,
    "never_solved": pl.Boolean,
    "cut_off": pl.UInt32,
    "no_answer": pl.UInt32,
    "mean_tokens": pl.Float64,
}


@dataclass(frozen=True, slots=True)
class RolloutOutcome:
    """What rollouts came to. `questions` were asked, `judged` of them have a pass rate; `mean_pass_rate` is over these,
    None where there is none."""

    out: Path
    rows: int
    questions: int
    answers: int
    drawn: int
    judged: int
    never_solved: int
    cut_off: int
    mean_pass_rate: float | None
    notes: tuple[str, ...]


def roll_out(
    table: Table,
    out: Path,
    *,
    engine: BackendSettings,
    sampling: Sampling,
    sample: int | None = None,
    system: str = PAPER_SYSTEM,
) -> RolloutOutcome:
    """Draw, keep and grade the answers to a table's questions; what OUT holds already is not drawn again.

    `sample` takes that many questions, as many from each tenth of the built-in model's difficulty. Raises UsageError
    where no row has a gold answer, OutputError where OUT holds the answers of another model or prompt.
    """
    chosen = _chosen(table, sample, sampling.seed)
    settings = {"engine": same_model(engine), "system": system, **same_draws(sampling)}
    questions = [asked(str(question), system) for question in chosen["question"]]
    with folder_of_answers(out):
        claim(out / SETTINGS, settings, holds_answers=holds_answers(out / COMPLETIONS))
        with Samples(out / COMPLETIONS) as kept:
            drawn = draw_missing(engine, [Drawing("", distinct(questions), sampling, kept)])
            rates, most = _graded(chosen, questions, kept, sampling.n), kept.most
        write_table(rates, out / RATES)
    return _outcome(out, table, rates, drawn, sampling, most=most)


def _chosen(table: Table, sample: int | None, seed: int) -> pl.DataFrame:
    """Distinct questions with a gold answer, in order: `row` (the first that asks it), `question`, `gold`."""
    rows = pl.DataFrame({"question": table.question, "gold": table.gold}).with_row_index("row")
    blank = pl.col("question").fill_null("").str.strip_chars() == ""
    whole = rows.filter(~blank & pl.col("gold").is_not_null())
    if not whole.height:
        raise UsageError("no row has a question and a gold answer to grade by; name them: --columns question=Q,gold=G")
    if whole.height < rows.height:
        say(f"rollout: {rows.height - whole.height:,} of {rows.height:,} rows have no question or no gold answer")
    whole = whole.unique(["question", "gold"], keep="first", maintain_order=True)
    if sample is None or sample >= whole.height:
        return whole
    return whole[stratified(whole["question"], whole["gold"], sample, seed)]


def stratified(questions: pl.Series, golds: pl.Series, sample: int, seed: int) -> NDArray[np.int64]:
    """Row numbers, ascending: a sample drawn evenly over the tenths of the built-in model's difficulty."""
    from select2reason.difficulty.reward import load_builtin

    order = np.argsort(load_builtin().predict(questions, golds), kind="stable")
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(part) for part in np.array_split(order, min(_STRATA, len(order)))]
    turn = np.concatenate([np.arange(len(part)) + rng.random() for part in parts])  # each part's first, then its second
    drawn = np.concatenate(parts)[np.argsort(turn, kind="stable")]
    return np.sort(drawn[:sample])


# --- grading --------------------------------------------------------------------------------------------------------


def _graded(chosen: pl.DataFrame, questions: Sequence[Asked], kept: Samples, n: int) -> pl.DataFrame:
    parts = []
    with Grader() as grader, stage("grading", chosen.height, unit="questions") as advance:
        for start in range(0, chosen.height, _GRADED):
            rows = chosen.slice(start, _GRADED)
            answers = list(kept.of([one.key for one in questions[start : start + _GRADED]], n))
            parts.append(_rates(rows, answers, grader))
            advance(rows.height)
    return pl.concat(parts)


def _rates(rows: pl.DataFrame, answers: Sequence[Sequence[Completion]], grader: Grader) -> pl.DataFrame:
    results = [[final_answer(one.text) for one in some] for some in answers]
    judged = verdicts(results, rows["gold"].to_list(), grader)
    columns = [_rate(*question) for question in zip(judged, answers, results, strict=True)]
    made = pl.DataFrame(columns, schema=dict(list(_COLUMNS.items())[rows.width :]), orient="row")
    return pl.concat([rows, made], how="horizontal").select(
        pl.col(name).cast(dtype) for name, dtype in _COLUMNS.items()
    )


def _rate(
    judged: Sequence[bool | None], answers: Sequence[Completion], results: Sequence[str | None]
) -> tuple[object, ...]:
    """_COLUMNS from `n` on, of one question. An answer that cannot be judged counts for nothing; the standard error is
    that of a share, sqrt(p (1 - p) / n)."""
    tokens = [one.tokens for one in answers if one.tokens is not None]
    known = [verdict for verdict in judged if verdict is not None]
    n, right = len(known), sum(known)
    rate = right / n if n else None
    error = math.sqrt(rate * (1 - rate) / n) if rate is not None else None
    return (
        n,
        right,
        rate,
        error,
        None if rate is None else 1 - rate,
        right == 0 if n else None,
        sum(one.cut_off for one in answers),
        sum(result is None for result in results),
        sum(tokens) / len(tokens) if tokens else None,
    )


def _outcome(
    out: Path, table: Table, rates: pl.DataFrame, drawn: int, sampling: Sampling, *, most: int
) -> RolloutOutcome:
    """`most`: answers that are kept of one question, which may be more than are asked for."""
    asked = rates.unique("question")  # once, however many gold answers it has
    answers = asked.height * sampling.n
    mean = rates["pass_rate"].mean()
    cut = int(asked["cut_off"].sum())
    unsolved = int(rates["never_solved"].sum())
    return RolloutOutcome(
        out=out,
        rows=table.frame.height,
        questions=rates.height,
        answers=answers,
        drawn=drawn,
        judged=rates["pass_rate"].count(),
        never_solved=unsolved,
        cut_off=cut,
        mean_pass_rate=float(mean) if isinstance(mean, float) else None,
        notes=(*_notes(rates, answers, cut, unsolved, sampling.max_tokens), *_more_kept(out, most, sampling.n)),
    )


def _more_kept(out: Path, most: int, n: int) -> Iterator[str]:
    if most > n:
        told = f"{out} holds up to {most} answers a question; these pass rates are of the first {n} of each"
        yield f"{told}, and -n {most} takes them all in"


def _notes(rates: pl.DataFrame, answers: int, cut: int, unsolved: int, max_tokens: int) -> Iterator[str]:
    if cut:
        yield f"{cut:,} of {answers:,} answers were cut off at {max_tokens:,} tokens; a larger --max-tokens redoes them"
    if unsolved:
        yield f"{unsolved:,} questions were never solved: hard, or their gold answer is wrong"
    if missing := rates["pass_rate"].null_count():
        yield f"{missing:,} questions have no pass rate: their answers could not be judged"


# --- rollouts as difficulty -----------------------------------------------------------------------------------------

_BESIDE = ("pass_rate", "pass_rate_stderr", "never_solved")


def read_rates(folder: Path) -> pl.DataFrame:
    """What `roll_out` wrote. Raises UsageError where the folder holds no rollouts."""
    file = folder / RATES
    if not file.is_file():
        raise UsageError(f"no {RATES} in {folder}; give a folder that `select2reason rollout` wrote")
    fix = "run the same rollout again: its answers are kept"
    rates = read_own(file, fix=fix)
    if missing := [name for name in ("question", "difficulty", *_BESIDE) if name not in rates.columns]:
        told = f"{file} has no column {missing[0]}, so another version of select2reason wrote it"
        raise UsageError(f"{told}; {fix}")
    return rates


def rollout_difficulty(folder: Path, questions: pl.Series) -> pl.DataFrame:
    """`difficulty` and what rollouts say beside it, question for question; null where it was not asked, or was asked
    with several gold answers that gave several pass rates. Raises UsageError where none was asked."""
    known = read_rates(folder).filter(pl.col("pass_rate").is_not_null())  # a gold answer that nothing is graded by
    one = known.unique(["question", "pass_rate"], keep="first", maintain_order=True)
    alone = one.filter(~pl.col("question").is_duplicated()).select("question", "difficulty", *_BESIDE)
    joined = pl.DataFrame({"question": questions}).join(alone, on="question", how="left", maintain_order="left")
    if not joined["difficulty"].count():
        raise UsageError(f"none of these questions was asked in {folder}; roll out questions of this pool")
    return joined.drop("question")
