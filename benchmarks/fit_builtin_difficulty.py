"""Fit the built-in difficulty model on ../shared/data/difficulty and write its weights and card.

Measures first: the questions of all files are put into groups (the same question, or nearly the same), the groups into
folds, and each fold is scored by a model that saw none of its groups in any file. The card holds those figures; the
shipped weights then come from all questions. Needs scipy; takes some minutes. `--measure-only` writes nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import fill

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.stats import spearmanr

from select2reason.difficulty.features import FEATURES, clean, encode, ngram_bags
from select2reason.difficulty.fitting import Settings, fit
from select2reason.difficulty.reward import NgramModel

ROOT = Path(__file__).resolve().parents[1]
NEAR_COPY = 0.5  # Jaccard overlap of hashed n-grams from which two questions count as one
COMMON = 100  # n-grams in more questions than this find no copies and cost most of the time
GSM8K_ROWS = 250
SOURCES = {"math_test": 1}  # measured with another prompt: its pass gaps are shifted to DeepScaleR's scale
MATH_TEST_MAIN = "pass_qwen25_math_7b_t06_k50"


def read(data: Path) -> pl.DataFrame:
    """One row for every labelled question of every file: question, source and label columns (null = none)."""
    frames = [reader(data).with_columns(source=pl.lit(name)) for name, reader in READERS.items()]
    table = pl.concat(frames, how="diagonal")
    cleaned = clean(table["question"])
    return table.with_columns(cleaned=cleaned, group=pl.Series(near_copies(cleaned)))


def deepscaler(data: Path) -> pl.DataFrame:
    """Questions measured twice are averaged; those with two different golds are left out (one of them is wrong)."""
    rows = pl.read_parquet(data / "deepscaler_qwen25math7b_passrate.parquet")
    return (
        rows.group_by(key(rows["prompt"]).alias("key"), maintain_order=True)
        .agg(
            pl.col("prompt", "ground_truth").first(),
            pl.col("difficulty").mean(),
            golds=pl.col("ground_truth").n_unique(),
        )
        .filter(pl.col("golds") == 1)
        .select(question="prompt", pass_gap=pl.col("difficulty") / 100, answer="ground_truth")
        .with_columns(answer_labels())
        .drop("answer")
    )


def answer_labels() -> list[pl.Expr]:
    """What the gold answer looks like: never known when scoring, but a question foretells part of it."""
    answer = pl.col("answer")
    whole = answer.str.extract(r"^-?(\d{1,9})$").cast(pl.Float64)
    return [
        (answer.str.len_chars() + 1).log().alias("answer_length"),
        whole.is_not_null().cast(pl.Float64).alias("answer_whole"),
        whole.log1p().alias("answer_size"),
    ]


def math_test(data: Path) -> pl.DataFrame:
    """MATH test: pass rates of seven models."""
    rows = pl.read_parquet(data / "math_test_levels_passrates.parquet")
    return rows.select(
        question="problem",
        math_pass_gap=1 - pl.col(MATH_TEST_MAIN).cast(pl.Float64),
        math_seven=1 - pl.mean_horizontal(pl.col("^pass_.*$").cast(pl.Float64)),
        level=level(),
        math_solution=solution_length("solution"),
    )


def math_levels(data: Path) -> pl.DataFrame:
    """All of MATH: levels 1 to 5."""
    return pl.read_parquet(data / "math_12500_levels.parquet").select(question="problem", level=level())


def omni(data: Path) -> pl.DataFrame:
    """Omni-MATH: olympiad questions, 1 to 10."""
    rows = pl.read_parquet(data / "omni_math_rule.parquet")
    return rows.select(question="problem", omni=pl.col("difficulty").cast(pl.Float64))


def aime(data: Path) -> pl.DataFrame:
    """AIME: pass rates of three models and the problem's number."""
    rows = pl.read_parquet(data / "aime_1983_2024_passrates.parquet")
    return rows.select(
        question="problem",
        aime=1 - pl.mean_horizontal(pl.col("^pass_.*$").cast(pl.Float64)),
        aime_number=pl.col("Problem Number").cast(pl.Float64),
    )


def aime_judge(data: Path) -> pl.DataFrame:
    """AIME: the votes of a language model."""
    rows = pl.read_parquet(data / "aime_llm_judge_difficulty.parquet")
    return rows.select(question="problem", aime_votes=pl.col("difficulty").cast(pl.Float64))


def gsm8k(data: Path) -> pl.DataFrame:
    """GSM8K: whether two models' single answers were right."""
    rows = pl.concat([pl.read_parquet(data / f"gsm8k_{part}.parquet") for part in ("train", "test")])
    return rows.select(
        question="question",
        gsm8k=1 - pl.mean_horizontal(pl.col("^greedy_.*$").cast(pl.Float64)),
        gsm8k_solution=solution_length("answer"),
    )


def cmath(data: Path) -> pl.DataFrame:
    """CMATH: Chinese school grades 1 to 6."""
    rows = pl.read_parquet(data / "cmath_grades_zh.parquet")
    return rows.select(question="question", grade=pl.col("grade").cast(pl.Float64))


def dsr(data: Path) -> pl.DataFrame:
    """1,209 DeepScaleR questions: accuracy along one reinforcement-learning run of Qwen2.5-Math-1.5B."""
    rows = pl.read_parquet(data / "dsr_sub_training_accuracy.parquet")
    return rows.select(question="prompt", training=1 - pl.col("acc_history").list.mean())


READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "deepscaler": deepscaler,
    "math_test": math_test,
    "math": math_levels,
    "omni": omni,
    "aime": aime,
    "aime_judge": aime_judge,
    "gsm8k": gsm8k,
    "cmath": cmath,
    "dsr": dsr,
}
AUXILIARY = (
    *("answer_length", "answer_whole", "answer_size", "math_pass_gap", "math_seven", "level", "math_solution"),
    *("omni", "gsm8k_solution", "grade", "training", "pooled"),
)


def level() -> pl.Expr:
    """`Level 4` as 4."""
    return pl.col("level").str.extract(r"(\d)").cast(pl.Float64)


def solution_length(column: str) -> pl.Expr:
    """How long the worked solution is, on a log scale: a question foretells part of it."""
    return (pl.col(column).str.len_chars() + 30).log()


def key(questions: pl.Series) -> pl.Series:
    """Letters and digits of a cleaned question: what makes two rows the same question."""
    return clean(questions).str.to_lowercase().str.replace_all(r"\\(?:frac|text|mathrm|mbox|q?quad)|[^\p{L}\p{N}]", "")


def near_copies(cleaned: pl.Series) -> NDArray[np.int64]:
    """A group number for every row: equal keys, or n-grams that overlap by NEAR_COPY, directly or through others."""
    keys = key(cleaned)
    first = pl.DataFrame({"key": keys}).with_row_index().group_by("key", maintain_order=True).first()
    bags = ngram_bags(encode(cleaned.gather(first["index"]).str.to_lowercase()), bits=24)
    size = (len(bags.offsets) - 1, 1 << 24)
    grams = sp.csr_matrix((np.ones(len(bags.buckets), np.float32), bags.buckets, bags.offsets), shape=size)
    length = np.diff(bags.offsets)
    often = np.bincount(bags.buckets, minlength=size[1])
    rare = grams[:, np.flatnonzero((often > 1) & (often <= COMMON))]
    left, right = [], []
    for start in range(0, size[0], 2000):
        shared = (rare[start : start + 2000] @ rare.T).tocoo()
        rows, columns = shared.row + start, shared.col
        # Only rare n-grams are counted as shared, so pairs are proposed generously and then measured in full.
        near = (rows < columns) & (shared.data >= NEAR_COPY * 0.5 * np.minimum(length[rows], length[columns]))
        left.append(rows[near])
        right.append(columns[near])
    a, b = np.concatenate(left), np.concatenate(right)
    common = np.asarray(grams[a].multiply(grams[b]).sum(axis=1)).ravel()
    close = common >= NEAR_COPY * (length[a] + length[b] - common)
    links = sp.coo_matrix((np.ones(close.sum()), (a[close], b[close])), shape=(size[0], size[0]))
    _, group = connected_components(links, directed=False)
    number = pl.DataFrame({"key": first["key"], "group": group})
    return pl.DataFrame({"key": keys}).join(number, on="key", how="left", maintain_order="left")["group"].to_numpy()


def pooled() -> pl.Expr:
    """Pass gap, or what the other labels would be on that scale, read off the questions that have both."""
    levels = pl.col("level").replace_strict({1: 0.1, 2: 0.15, 3: 0.2, 4: 0.3, 5: 0.5}, return_dtype=pl.Float64)
    return pl.coalesce("pass_gap", pl.col("math_pass_gap") + 0.08, levels, 0.3 + pl.col("omni") / 10)


def main_label() -> pl.Expr:
    """Pass gaps of Qwen2.5-Math-7B; GSM8K's flags for a few questions, so that the scale knows really easy ones.

    All of GSM8K would cost 0.016 of Spearman on DeepScaleR, whose own word problems are often unsolved.
    """
    few = pl.col("gsm8k").is_not_null().cum_sum() <= GSM8K_ROWS
    return pl.coalesce("pass_gap", "math_pass_gap", pl.when(few).then("gsm8k"))


def train(table: pl.DataFrame, settings: Settings, seed: int) -> NgramModel:
    """The built-in recipe on the given rows."""
    table = table.with_columns(pooled=pooled(), main=main_label())
    columns = {name: table[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("main", *AUXILIARY)}
    source = pl.Series(table["source"]).replace_strict(SOURCES, default=0, return_dtype=pl.Int64)
    return fit(
        table["question"],
        columns.pop("main"),
        auxiliary=columns,
        source=source.to_numpy(),
        groups=table["group"].to_numpy(),
        settings=settings,
        seed=seed,
    )


def held_out(table: pl.DataFrame, folds: int, settings: Settings, seed: int) -> NDArray[np.float64]:
    """Every question's score by a model that saw nothing of its group."""
    groups = table["group"].to_numpy()
    fold = np.random.default_rng(seed).permutation(groups.max() + 1)[groups] % folds
    scores = np.full(len(table), np.nan)
    for part in range(folds):
        start = time.monotonic()
        model = train(table.filter(pl.Series(fold != part)), settings, seed)
        scores[fold == part] = model.predict(table["question"].filter(pl.Series(fold == part)))
        print(f"fold {part + 1} of {folds}: {time.monotonic() - start:.0f} s", flush=True)
    return scores


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

CARD = """# Card of the built-in difficulty model

Predicts d = 1 - pass rate from the question alone (the difficulty-aware reward model of METHOD 2). Fingerprint
`{fingerprint}`, {size:.1f} MB, {kept:,} weighted n-grams. One regression each for:
{tasks}.

## How it works
1. The question is cleaned: a prompt's tail ("Let's think step by step ...") goes, LaTeX marks of different sources are
   made alike.
2. Hashed token 1- to 3-grams (Qwen2.5 tokenizer, 2^20 buckets) and {features} counted features feed one ridge
   regression for every label set.
3. {trees} small trees combine the scores of the regressions with the counted features.
4. A monotone map puts the sum on the scale of DeepScaleR's 1 - pass rate, in [0, 1]. An empty question has no score.

## How well it does
Measured on {measured:,} labelled rows that it never saw. All files are joined first; questions that are the same, or
share half of their n-grams, directly or through others, form one group ({groups:,} groups of {rows:,} rows). The groups
are cut into {folds} folds, and each fold is scored by a model fitted without any row of its groups, from any file. The
same settings were chosen on such folds, so the figures may flatter by a few thousandths. The shipped weights come from
all rows: **on these files they do better than this table**, which says nothing.

Spearman rank correlation with each label, its standard error, and that of the question's length in tokens:

| questions, label | n | model | s.e. | length only | mean score | mean label |
|---|---|---|---|---|---|---|
{table}

Mean predicted d against mean label in DeepScaleR, by fifths of the prediction: {calibration}.

About {speed:,} questions/s on two shared cores, tokenising included.

## Fitted on
| questions | labels used | licence |
|---|---|---|
| DeepScaleR (uscnlp-lime/verl) | difficulty = 1 - pass rate, look of the gold answer | Apache-2.0 (DeepScaleR: MIT) |
| MATH test (ToRA, llms_know_difficulty, MARIO_EVAL) | pass rates, level, solution length | MIT (MARIO_EVAL: none) |
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
- It reads wording. Whether an answer exists, whether the gold answer is right (some DeepScaleR questions are never
  solved for a wrong gold), how large the numbers get on the way: it cannot know.
- Easy word problems come out too hard (see GSM8K's means): DeepScaleR holds few easy ones, and many that are unsolved.
- d is that of Qwen2.5-Math-7B. A stronger model's pass rates are higher; the order changes less.
- It saw public test questions (MATH, AIME through DeepScaleR, GSM8K, Omni-MATH): report no benchmark result *of this
  model* on them. It trains no language model.

## Fit again
`python benchmarks/fit_builtin_difficulty.py --data FOLDER` measures, fits, and writes `weights.npz` and this card. The
same data, seed and library versions give the same bytes.
"""


def card(table: pl.DataFrame, scores: NDArray[np.float64], model: NgramModel, out: Path, folds: int) -> str:
    """CARD.md, from the held-out figures."""
    measured = figures(table, scores)
    row = "| {0} | {1:,} | {2:.3f} | {3:.3f} | {4:.3f} | {5:.2f} | {6:.2f} |".format
    lines = [row(MEASURED[r[:2]], r[2], r[3], (1 - r[3] ** 2) / r[2] ** 0.5, *r[4:]) for r in measured.iter_rows()]
    return CARD.format(
        fingerprint=model.fingerprint,
        size=(out / "weights.npz").stat().st_size / 1e6,
        kept=len(model.buckets),
        tasks=fill(", ".join(model.tasks), 118),
        features=len(FEATURES),
        trees=len(model.trees.leaves),
        measured=int(measured["n"].sum()),
        groups=table["group"].n_unique(),
        rows=len(table),
        folds=folds,
        table="\n".join(lines),
        calibration=calibration(table, scores),
        speed=round(speed(table, model), -3),
        gsm8k=GSM8K_ROWS,
    )


def calibration(table: pl.DataFrame, scores: NDArray[np.float64]) -> str:
    """Predicted / true means in fifths of the held-out DeepScaleR scores."""
    home = table.with_columns(score=pl.Series(scores)).filter(pl.col("source") == "deepscaler").sort("score")
    parts = np.array_split(home.select("score", "pass_gap").to_numpy(), 5)
    return ", ".join("{:.2f} / {:.2f}".format(*part.mean(axis=0)) for part in parts)


def speed(table: pl.DataFrame, model: NgramModel) -> int:
    """Questions a second, the median of five runs over 4,000 DeepScaleR questions each, other ones every time."""
    questions = table.filter(pl.col("source") == "deepscaler")["question"]
    rates = []
    for start in range(0, 20_000, 4_000):
        begun = time.perf_counter()
        part = questions.slice(start, 4_000)
        model.predict(part)
        rates.append(len(part) / (time.perf_counter() - begun))
    return int(np.median(rates))


def main() -> None:
    """Measure, then fit on everything and write the weights and the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/difficulty")
    parser.add_argument("--out", type=Path, default=ROOT / "src/select2reason/difficulty/builtin")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--measure-only", action="store_true", help="write nothing")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table, settings = read(options.data), Settings()
    print(f"{len(table)} rows, {table['group'].n_unique()} groups")
    scores = held_out(table, options.folds, settings, options.seed)
    with pl.Config(tbl_rows=-1, tbl_cols=-1):
        print(figures(table, scores))
    if not options.measure_only:
        model = train(table, settings, options.seed)
        model.save(options.out)
        text = card(table, scores, model, options.out, options.folds)
        (options.out / "CARD.md").write_text(text, encoding="utf-8")
        print(model.fingerprint, options.out)


if __name__ == "__main__":
    main()
