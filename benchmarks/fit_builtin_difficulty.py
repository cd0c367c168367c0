"""Fit the built-in difficulty model on ../shared/data/difficulty and write its weights and card.

Measures first, in two ways: folds cut by question, and folds cut by groups of questions that are nearly the same. Each
fold is scored by a model that saw none of its questions (or groups) in any file. The card holds those figures; the
shipped weights then come from all questions. Needs scipy; takes some minutes. `--measure-only` writes nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp
from builtin_difficulty_card import SIGHTS, Scores, card, figures
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from select2reason.difficulty.features import clean, encode, ngram_bags, strip_tail
from select2reason.difficulty.fitting import Settings, fit
from select2reason.difficulty.reward import NgramModel

ROOT = Path(__file__).resolve().parents[1]
NEAR_COPY = 0.5  # Jaccard overlap of hashed n-grams from which two questions count as one
COMMON = 100  # n-grams in more questions than this find no copies and cost most of the time
GSM8K_ROWS = 250
SPLITS = ("question_number", "near_group")  # columns of numbers: rows of one number stay together
SOURCES = {"math_test": 1}  # measured with another prompt: its pass gaps are shifted to DeepScaleR's scale
MATH_TEST_MAIN = "pass_qwen25_math_7b_t06_k50"


def read(data: Path) -> pl.DataFrame:
    """One row for every labelled question of every file: question, source and label columns (null = none)."""
    frames = [reader(data).with_columns(source=pl.lit(name)) for name, reader in READERS.items()]
    table = pl.concat(frames, how="diagonal")
    cleaned = clean(strip_tail(table["question"]))
    same = key(table["question"]).rank("dense").cast(pl.Int64) - 1
    return table.with_columns(cleaned=cleaned, question_number=same, near_group=pl.Series(near_copies(cleaned)))


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
        .with_columns(answer_labels(), gold=pl.col("answer").cast(pl.String))
        .drop("answer")
    )


def answer_labels() -> list[pl.Expr]:
    """What the gold answer looks like: not always known when scoring, but a question foretells part of it."""
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
        gold=pl.col("answer").cast(pl.String),
    )


def math_levels(data: Path) -> pl.DataFrame:
    """All of MATH: levels 1 to 5."""
    return pl.read_parquet(data / "math_12500_levels.parquet").select(
        question="problem", level=level(), gold=pl.col("answer").cast(pl.String)
    )


def omni(data: Path) -> pl.DataFrame:
    """Omni-MATH: olympiad questions, 1 to 10."""
    rows = pl.read_parquet(data / "omni_math_rule.parquet")
    gold = pl.col("answer").cast(pl.String)
    return rows.select(question="problem", omni=pl.col("difficulty").cast(pl.Float64), gold=gold)


def aime(data: Path) -> pl.DataFrame:
    """AIME: pass rates of three models and the problem's number."""
    rows = pl.read_parquet(data / "aime_1983_2024_passrates.parquet")
    return rows.select(
        question="problem",
        aime=1 - pl.mean_horizontal(pl.col("^pass_.*$").cast(pl.Float64)),
        aime_number=pl.col("Problem Number").cast(pl.Float64),
        gold=pl.col("answer").cast(pl.String),
    )


def aime_judge(data: Path) -> pl.DataFrame:
    """AIME: the votes of a language model."""
    rows = pl.read_parquet(data / "aime_llm_judge_difficulty.parquet")
    gold = pl.col("answer").cast(pl.String)
    return rows.select(question="problem", aime_votes=pl.col("difficulty").cast(pl.Float64), gold=gold)


def gsm8k(data: Path) -> pl.DataFrame:
    """GSM8K: whether two models' single answers were right."""
    rows = pl.concat([pl.read_parquet(data / f"gsm8k_{part}.parquet") for part in ("train", "test")])
    return rows.select(
        question="question",
        gsm8k=1 - pl.mean_horizontal(pl.col("^greedy_.*$").cast(pl.Float64)),
        gsm8k_solution=solution_length("answer"),
        gold="answer",
    )


def cmath(data: Path) -> pl.DataFrame:
    """CMATH: Chinese school grades 1 to 6."""
    rows = pl.read_parquet(data / "cmath_grades_zh.parquet")
    gold = pl.col("answer").cast(pl.String)
    return rows.select(question="question", grade=pl.col("grade").cast(pl.Float64), gold=gold)


def dsr(data: Path) -> pl.DataFrame:
    """1,209 DeepScaleR questions: accuracy along one reinforcement-learning run of Qwen2.5-Math-1.5B."""
    rows = pl.read_parquet(data / "dsr_sub_training_accuracy.parquet")
    gold = pl.col("ground_truth").cast(pl.String)
    return rows.select(question="prompt", training=1 - pl.col("acc_history").list.mean(), gold=gold)


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
    return (
        clean(strip_tail(questions))
        .str.to_lowercase()
        .str.replace_all(r"\\(?:frac|text|mathrm|mbox|q?quad)|[^\p{L}\p{N}]", "")
    )


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
        golds=table["gold"],
        auxiliary=columns,
        source=source.to_numpy(),
        groups=table["question_number"].to_numpy(),
        settings=settings,
        seed=seed,
    )


def held_out(table: pl.DataFrame, options: argparse.Namespace) -> Scores:
    """Every row's score, with its gold answer and without, by a model that saw no row with its number."""
    scores = {(split, sight): np.full(len(table), np.nan) for split in SPLITS for sight in SIGHTS}
    jobs = [(split, part) for split in SPLITS for part in range(options.folds)]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(one_fold, table, *job, options.folds, options.seed): job for job in jobs}
        for done in as_completed(running):
            split, part = running[done]
            rows, predicted, seconds = done.result()
            for sight in SIGHTS:
                scores[split, sight][rows] = predicted[sight]
            print(f"{split}, fold {part + 1} of {options.folds}: {seconds:.0f} s", flush=True)
    return scores


def one_fold(
    table: pl.DataFrame, split: str, part: int, folds: int, seed: int
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]], float]:
    """Rows of one fold, their scores by a model of the other folds, and the seconds that it took."""
    start = time.monotonic()
    numbers = table[split].to_numpy()
    aside = np.random.default_rng(seed).permutation(numbers.max() + 1)[numbers] % folds == part
    model = train(table.filter(pl.Series(~aside)), Settings(), seed)
    held = table.filter(pl.Series(aside))
    predicted = {
        "gold": model.predict(held["question"], held["gold"]),
        "alone": model.predict(held["question"]),
    }
    return np.flatnonzero(aside), predicted, time.monotonic() - start


def main() -> None:
    """Measure, then fit on everything and write the weights and the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/difficulty")
    parser.add_argument("--out", type=Path, default=ROOT / "src/select2reason/difficulty/builtin")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="folds fitted at once")
    parser.add_argument("--measure-only", action="store_true", help="write nothing")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table = read(options.data)
    print(f"{len(table)} rows, " + ", ".join(f"{table[split].n_unique()} of {split}" for split in SPLITS))
    scores = held_out(table, options)
    with pl.Config(tbl_rows=-1, tbl_cols=-1):
        for split, sight in scores:
            print(split, sight, figures(table, scores[split, sight]))
    if not options.measure_only:
        model = train(table, Settings(), options.seed)
        model.save(options.out)
        places = {"out": options.out, "data": options.data}
        text = card(table, scores, model, **places, folds=options.folds, gsm8k=GSM8K_ROWS)
        (options.out / "CARD.md").write_text(text, encoding="utf-8")
        print(model.fingerprint, options.out)


if __name__ == "__main__":
    main()
