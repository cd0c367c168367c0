"""Every scorer of difficulty against every label set of ../shared/data/difficulty: the table of docs/quality.md.

All scorers see the same questions, at most --most of each set, of a fifth of all questions that none of the fitted ones
saw (no question of that fifth is in what they were fitted on). `--judge MODEL` and `--reward-base MODEL` add scorers on
a language model; they are slow on a CPU. `--write` puts the table into the page.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from builtin_difficulty_card import MEASURED
from fit_builtin_difficulty import ROOT, SPLITS, read, train
from numpy.typing import NDArray

from select2reason.backends import BackendSettings, open_backend
from select2reason.backends.reward_training import Tuning
from select2reason.difficulty.fitting import Settings, fit
from select2reason.difficulty.judge import JudgePrompt, JudgeScorer
from select2reason.difficulty.reward import NgramModel
from select2reason.difficulty.reward_fit import fit_reward
from select2reason.difficulty.reward_folder import load_reward
from select2reason.difficulty.validation import spearman
from select2reason.tokens import load_tokenizer

PAGE = ROOT / "docs/quality.md"
FOLDS = 5
Scorer = Callable[[pl.DataFrame], NDArray[np.float64]]  # (rows,), NaN = no score


def length(rows: pl.DataFrame) -> NDArray[np.float64]:
    """Tokens of the question."""
    return load_tokenizer().count(rows["cleaned"]).astype(np.float64)


def human_level(rows: pl.DataFrame) -> NDArray[np.float64]:
    """The level that people gave it, of MATH alone."""
    return rows["level"].cast(pl.Float64).fill_null(np.nan).to_numpy()


def ngrams_of_deepscaler(seen: pl.DataFrame) -> Scorer:
    """What `reward fit --base ngram` makes of DeepScaleR's pass rates without gold answers."""
    home = seen.filter(pl.col("pass_gap").is_not_null())
    model = fit(home["question"], home["pass_gap"].to_numpy())
    return lambda rows: model.predict(rows["question"])


def builtin_recipe(model: NgramModel, *, golds: bool) -> Scorer:
    """What makes the built-in model, of the questions that may be seen; with their gold answers or without."""
    return lambda rows: model.predict(rows["question"], rows["gold"] if golds else None)


def judge(model: str) -> Scorer:
    """The paper's judge on another model."""
    scorer = JudgeScorer(open_backend(BackendSettings("transformers", model)), JudgePrompt())
    return lambda rows: scorer.score(rows.select("question"))["difficulty"].fill_null(np.nan).to_numpy()


def reward(seen: pl.DataFrame, base: str, questions: int) -> Scorer:
    """What `reward fit --base hf:` makes of some of DeepScaleR's pass rates: the closed-form head on 16 layers."""
    rated = seen.filter(pl.col("pass_gap").is_not_null()).select("question", pass_rate=1 - pl.col("pass_gap"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "reward"
        fit_reward(rated.sample(questions, seed=0), out, base=f"hf:{base}", tuning=Tuning(epochs=0, layers=16))
        model = load_reward(out)
    return lambda rows: model.predict(rows["question"])


def scorers(seen: pl.DataFrame, options: argparse.Namespace) -> dict[str, Callable[[], Scorer]]:
    """By the heads of their columns; each is made when its turn comes."""
    recipe = cache(lambda: train(seen, Settings(), 0))
    made: dict[str, Callable[[], Scorer]] = {
        "question's length": lambda: length,
        "human level": lambda: human_level,
        "n-grams fitted on DeepScaleR": lambda: ngrams_of_deepscaler(seen),
        "built-in recipe, question alone": lambda: builtin_recipe(recipe(), golds=False),
        "built-in recipe, gold answer known": lambda: builtin_recipe(recipe(), golds=True),
    }
    if options.reward_base:
        made[f"{options.reward_name}, fitted on DeepScaleR"] = lambda: reward(
            seen, options.reward_base, options.reward_questions
        )
    if options.judge:
        made[f"{options.judge_name} as the judge"] = lambda: judge(options.judge)
    return made


def figures(rows: pl.DataFrame, score: Scorer, most: int) -> list[str]:
    """One column: Spearman with the labels of every set, a dash where nothing or only one value was scored."""
    column = []
    for (source, label), _ in MEASURED.items():
        part = labelled(rows, source, label, most)
        found = score(part)
        both = np.isfinite(found)
        rho = spearman(found[both], part[label].cast(pl.Float64).to_numpy()[both])
        own = label == "level" and score is human_level
        column.append("-" if own or not np.isfinite(rho) or both.mean() < 0.5 else f"{rho:.3f}")
    return column


def labelled(rows: pl.DataFrame, source: str, label: str, most: int) -> pl.DataFrame:
    """The questions of a set that have the label, a sample where they are many."""
    part = rows.filter((pl.col("source") == source) & pl.col(label).is_not_null())
    return part.sample(most, seed=0) if len(part) > most else part


def main() -> None:
    """Measure and print, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/difficulty")
    parser.add_argument("--most", type=int, default=4000, help="questions of one set")
    parser.add_argument("--judge", help="folder of a chat model")
    parser.add_argument("--judge-name", default="a chat model")
    parser.add_argument("--reward-base", help="folder of a language model")
    parser.add_argument("--reward-name", default="a language model")
    parser.add_argument("--reward-questions", type=int, default=2000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    table = read(options.data)
    numbers = table[SPLITS[0]].to_numpy()
    aside = np.random.default_rng(0).permutation(numbers.max() + 1)[numbers] % FOLDS == 0
    seen, rows = table.filter(pl.Series(~aside)), table.filter(pl.Series(aside))
    counts = [len(labelled(rows, *which, options.most)) for which in MEASURED]
    columns = {"labels": list(MEASURED.values()), "n": [f"{count:,}" for count in counts]}
    for name, make in scorers(seen, options).items():
        start = time.monotonic()
        columns[name] = figures(rows, make(), options.most)
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(line) + " |" for line in zip(*columns.values(), strict=True)]
    print("\n".join(lines))
    if options.write:
        text = re.sub(r"(?s)\| labels \|.*?\n(?=\n)", "\n".join(lines) + "\n", PAGE.read_text(encoding="utf-8"))
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
