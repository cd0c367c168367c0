"""The card of the built-in difficulty model: its figures, and the text around them.

Serves fit_builtin_difficulty.py, which hands in held-out scores. The folders beside the labelled questions (benchmarks,
grading, traces, unlicensed) hold other kinds of questions without labels: for those the card only says what scores do.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from textwrap import fill

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import spearmanr

from select2reason.difficulty.features import ANSWER_FEATURES, FEATURES, encode, ngram_bags
from select2reason.difficulty.fitting import Settings
from select2reason.difficulty.reward import FAMILIAR, NgramModel

WAYS = {"question_number": "by question", "near_group": "by near-copy group"}
SIGHTS = {"gold": "question and gold answer", "alone": "question alone"}
Scores = dict[tuple[str, str], NDArray[np.float64]]  # (rows,) for a way of splitting and what was seen
MEASURED = {
    ("deepscaler", "pass_gap"): "DeepScaleR, 1 - pass rate of Qwen2.5-Math-7B (128 samples)",
    ("math_test", "math_pass_gap"): "MATH test, 1 - pass rate of Qwen2.5-Math-7B (50 samples)",
    ("math_test", "math_seven"): "MATH test, 1 - mean pass rate of seven models",
    ("math_test", "level"): "MATH test, level 1-5",
    ("math", "level"): "MATH train and test, level 1-5",
    ("omni", "omni"): "Omni-MATH (rule), difficulty 1-10",
    ("aime", "aime"): "AIME 1983-2024, 1 - mean pass rate of three models",
    ("aime", "aime_number"): "AIME 1983-2024, problem number 1-15",
    ("aime_judge", "aime_votes"): "AIME, votes of a language model",
    ("gsm8k", "gsm8k"): "GSM8K, share of two models' single answers that is wrong",
    ("cmath", "grade"): "CMATH (Chinese), school grade 1-6",
    ("dsr", "training"): "DeepScaleR subset, 1 - accuracy over one training run (1.5B)",
}

OUTPUTS = "grading/qwen25_3b_math_eval_outputs.parquet"
ELSEWHERE = {  # kind of questions: file, column, the rows of one value of another column
    "OlympiadBench (English)": ("benchmarks/olympiadbench.jsonl", "question", None),
    "GaoKao 2023 (English)": ("benchmarks/gaokao2023en.jsonl", "question", None),
    "ASDiv word problems": (OUTPUTS, "question", ("benchmark", "asdiv")),
    "SVAMP word problems": (OUTPUTS, "question", ("benchmark", "svamp")),
    "Minerva (science in English)": (OUTPUTS, "question", ("benchmark", "minerva_math")),
    "MMLU-Pro mathematics": ("benchmarks/mmlu_pro_stem.parquet", "question", ("category", "math")),
    "MMLU-Pro business": ("benchmarks/mmlu_pro_stem.parquet", "question", ("category", "business")),
    "MMLU-Pro physics": ("benchmarks/mmlu_pro_stem.parquet", "question", ("category", "physics")),
    "MMLU-Pro chemistry": ("benchmarks/mmlu_pro_stem.parquet", "question", ("category", "chemistry")),
    "Knights and knaves, 5 people": ("benchmarks/knights_knaves_5ppl.parquet", "quiz", None),
    "Chat (Marco-o1 demo)": ("traces/marco_o1_cot_demo.parquet", "instruction", None),
    "Chinese: GaoKao Math QA": ("benchmarks/gaokao_math_qa.jsonl", "question", None),
    "Chinese: Kaoyan": ("benchmarks/kaoyan.jsonl", "problem", None),
    "Bangla: all school subjects": ("unlicensed/r1_bangla_mmlu_traces.parquet", "formated_question", None),
}

CARD = """# Card of the built-in difficulty model

Predicts d = 1 - pass rate from a question's wording and, where the pool gives it, the look of its gold answer (the
difficulty-aware reward model of METHOD 2; the paper's reads the question alone). Fingerprint `{fingerprint}`,
{size:.1f} MB, {kept:,} weighted n-grams. One regression each for:
{tasks}.

## How it works
1. The prompt's tail ("Let's think step by step ...") goes. For the n-grams, LaTeX marks of different sources are made
   alike; the marks themselves are counted, because collections that are written differently differ in difficulty.
2. Hashed token 1- to 3-grams (Qwen2.5 tokenizer, 2^20 buckets) and {features} counted features feed one ridge
   regression for every label set.
3. {trees} small trees combine the scores of the regressions with the counted features. Where a gold answer is known,
   {trees} others do, which also see {answers} features of it: a whole number or not, how large, how long, fractions,
   roots, letters. How its source writes it (dollar signs, blanks, \\text) is levelled first: pass rates hang on that as
   well, but it is no difficulty.
4. A monotone map puts the sum on the scale of DeepScaleR's 1 - pass rate, in [0, 1]. An empty question has no score.

## How well it does
Measured on {measured:,} labelled rows that it never saw, in {folds} folds over all files together, in two ways:
- *by question*: no question stands on both sides, in any file, once case, spacing and marks are taken away
  ({questions:,} questions in {rows:,} rows). Variants of a question, with other numbers, may: as they will between a
  pool and these files.
- *by near-copy group*: questions that share half of their n-grams, directly or through others, form one group as well
  ({groups:,} groups). Stricter: what to expect of a pool that has nothing in common with these files.

Settings were chosen on such folds of the same questions, so the figures may flatter by a few thousandths. The shipped
weights come from all rows: **on these files they do better than this table**, which says nothing.

Spearman rank correlation with each label, with the gold answer known and from the question alone; its standard error
(with gold, by question), that of the question's length in tokens; mean score (with gold, by question) and mean label:

| questions, label | n | gold, by question | gold, by group | alone, by question | alone, by group | s.e. | length \
| mean score | mean label |
|---|---|---|---|---|---|---|---|---|---|
{table}

### Calibration
Tenths of the held-out prediction, mean predicted d / mean label:

| questions | split | scored from | expected calibration error | tenths |
|---|---|---|---|---|
{calibration}

The expected calibration error is the mean distance between the two over the tenths.

### Other kinds of questions
Without labels of difficulty, only this can be said, of the question alone: the median familiarity (share of a
question's n-grams that the model knows, 0 = chance), the share of questions at {familiar} or more, and what the scores
do. A pool whose median lies below {familiar} is unlike what the model was fitted on: trust its scores there only after
a check of your own. The first four rows are a fifth of the questions, under the n-grams of the others; later rows may
share some with the files.

| questions | n | median familiarity | familiar | median score | 10th-90th percentile of the score | score with length |
|---|---|---|---|---|---|---|
{elsewhere}

The last column is the Spearman correlation of the score with the question's length in tokens. CMATH's grades (Chinese,
in the first table) are the only labels in a language other than English, and all of them are school arithmetic.

About {speed:,} questions/s with gold answers on two shared cores, tokenising included ({threads}).

## Fitted on
| questions | labels used | licence |
|---|---|---|
| DeepScaleR (uscnlp-lime/verl) | difficulty = 1 - pass rate, gold answer | Apache-2.0 (DeepScaleR: MIT) |
| MATH test (ToRA, llms_know_difficulty, MARIO_EVAL) | pass rates, answer, level, solution length \
| MIT (MARIO_EVAL: none) |
| MATH | level | MIT |
| Omni-MATH (rule) | difficulty | Apache-2.0 in the copying repository |
| GSM8K | single answers of {gsm8k} questions, length of the solutions | MIT |
| CMATH | grade | CC BY 4.0 |
| DeepScaleR subset (One-Shot-RLVR) | accuracy over training | Apache-2.0 |

DeepScaleR questions measured twice are averaged; those with two different gold answers are left out. The weights hold
numbers under hashes: no question can be read from them.

## Limits
- Mathematics in English. Of other languages it has seen 407 Chinese school questions, and outside mathematics nothing:
  there the score is little more than length and LaTeX. Check it against labels of your own first.
- It reads wording, and what kind of answer the gold is. Whether an answer exists, whether the gold is right (some
  DeepScaleR questions are never solved for a wrong gold): it cannot know. A wrong gold changes the score a little.
- Questions with and without a gold answer stand on one scale, but the former spread further; a pool that has gold
  answers for some rows only will find more of those at both ends.
- It reads marks of the source. In a pool that was rewritten in one style they say nothing, and it loses a little.
- Easy word problems come out too hard (see GSM8K's means): DeepScaleR holds few easy ones, and many that are unsolved.
- d is that of Qwen2.5-Math-7B. A stronger model's pass rates are higher; the order changes less.
- It saw public test questions (MATH, AIME through DeepScaleR, GSM8K, Omni-MATH): report no benchmark result *of this
  model* on them. It trains no language model.

## Fit again
`python benchmarks/fit_builtin_difficulty.py --data FOLDER` measures, fits, and writes `weights.npz` and this card. The
same data, seed and library versions give the same bytes.
"""


def card(
    table: pl.DataFrame,
    scores: Scores,
    model: NgramModel,
    *,
    out: Path,
    data: Path,
    folds: int,
    gsm8k: int,
) -> str:
    """CARD.md, from held-out scores for each of WAYS; the weights stand in `out`, the labelled files in `data`."""
    found = [figures(table, scores[way, sight]) for sight in SIGHTS for way in WAYS]
    by_question = found[0]
    row = "| {} | {:,} | {:.3f} | {:.3f} | {:.3f} | {:.3f} | {:.3f} | {:.3f} | {:.2f} | {:.2f} |".format
    lines = [
        row(MEASURED[r[:2]], r[2], r[3], *others, (1 - r[3] ** 2) / r[2] ** 0.5, *r[4:])
        for r, *others in zip(by_question.iter_rows(), *(other["spearman"] for other in found[1:]), strict=True)
    ]
    return CARD.format(
        fingerprint=model.fingerprint,
        size=(out / "weights.npz").stat().st_size / 1e6,
        kept=len(model.buckets),
        tasks=fill(", ".join(model.tasks), 118),
        features=len(FEATURES),
        trees=len(model.alone.trees.leaves),
        answers=len(ANSWER_FEATURES),
        measured=int(by_question["n"].sum()),
        questions=table["question_number"].n_unique(),
        groups=table["near_group"].n_unique(),
        rows=len(table),
        folds=folds,
        table="\n".join(lines),
        calibration="\n".join(calibration(table, scores)),
        familiar=FAMILIAR,
        elsewhere="\n".join([*familiarity_held_out(table, model), *elsewhere(data.parent, model)]),
        speed=round(speed(table, model), -3),
        threads=f"{pl.thread_pool_size()} Polars threads",
        gsm8k=gsm8k,
    )


def figures(table: pl.DataFrame, scores: NDArray[np.float64]) -> pl.DataFrame:
    """Spearman with each label, the model beside the question's length in tokens."""
    table = table.with_columns(score=pl.Series(scores), tokens=pl.Series(np.diff(encode(table["cleaned"]).offsets)))
    rows = []
    for source, label in MEASURED:
        part = table.filter((pl.col("source") == source) & pl.col(label).is_not_null() & pl.col("score").is_not_nan())
        columns = part.select(label, "score", "tokens").to_numpy().T
        rho, length = (float(spearmanr(columns[0], columns[i]).statistic) for i in (1, 2))
        rows.append((source, label, len(part), rho, length, float(columns[1].mean()), float(columns[0].mean())))
    names = ["source", "label", "n", "spearman", "spearman_length", "mean_score", "mean_label"]
    return pl.DataFrame(rows, schema=names, orient="row")


def calibration(table: pl.DataFrame, scores: Scores) -> list[str]:
    """Rows of the calibration table: tenths of the held-out scores."""
    lines = []
    for source, label, name in (("deepscaler", "pass_gap", "DeepScaleR"), ("math_test", "math_pass_gap", "MATH test")):
        for (way, sight), held in scores.items():
            home = table.with_columns(score=pl.Series(held)).filter(pl.col("source") == source).sort("score")
            means = [part.mean(axis=0) for part in np.array_split(home.select("score", label).to_numpy(), 10)]
            error = np.mean([abs(predicted - true) for predicted, true in means])
            tenths = ", ".join("{:.2f} / {:.2f}".format(*pair) for pair in means)
            lines.append(f"| {name} | {WAYS[way]} | {SIGHTS[sight]} | {error:.3f} | {tenths} |")
    return lines


def familiarity_held_out(table: pl.DataFrame, model: NgramModel) -> list[str]:
    """Rows for a fifth of the questions, under the n-grams that the other questions hold."""
    aside = pl.Series(np.random.default_rng(0).permutation(table["question_number"].max() + 1)) % 5 == 0
    aside = aside.gather(table["question_number"])
    seen = np.bincount(ngram_bags(encode(table["cleaned"].filter(~aside))).buckets)
    part = replace(model, buckets=np.flatnonzero(seen >= Settings().least_questions).astype(np.int32))
    names = {"deepscaler": "DeepScaleR, held out", "math_test": "MATH test, held out", "gsm8k": "GSM8K, held out"}
    names["cmath"] = "Chinese: CMATH, held out"
    held = table.filter(aside)
    return [
        familiarity_row(name, part.familiarity(held["question"].filter(held["source"] == source)), None)
        for source, name in names.items()
    ]


def elsewhere(data: Path, model: NgramModel) -> list[str]:
    """Rows for the kinds of questions in ELSEWHERE."""
    lines = []
    for name, (file, column, only) in ELSEWHERE.items():
        path = data / file
        rows = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_ndjson(path, infer_schema_length=None)
        rows = rows if only is None else rows.filter(pl.col(only[0]) == only[1])
        questions = rows[column].unique(maintain_order=True).head(2000)
        lines.append(familiarity_row(name, model.familiarity(questions), questions, model))
    return lines


def familiarity_row(
    name: str, familiarity: NDArray[np.float64], questions: pl.Series | None, model: NgramModel | None = None
) -> str:
    """One row of the table; without questions its scores are left out."""
    cells = f"| {name} | {len(familiarity):,} | {np.median(familiarity):.2f} | {(familiarity >= FAMILIAR).mean():.0%} |"
    if questions is None or model is None:
        return f"{cells} - | - | - |"
    scores = model.predict(questions)
    low, middle, high = np.quantile(scores, [0.1, 0.5, 0.9])
    length = spearmanr(scores, np.diff(encode(questions).offsets)).statistic
    return f"{cells} {middle:.2f} | {low:.2f}-{high:.2f} | {length:.2f} |"


def speed(table: pl.DataFrame, model: NgramModel) -> int:
    """Questions a second, the median of five runs over 4,000 DeepScaleR questions each, other ones every time."""
    rows = table.filter(pl.col("source") == "deepscaler")
    rates = []
    for start in range(0, 20_000, 4_000):
        begun = time.perf_counter()
        part = rows.slice(start, 4_000)
        model.predict(part["question"], part["gold"])
        rates.append(len(part) / (time.perf_counter() - begun))
    return int(np.median(rates))
