"""Does a fine-tuned language model tell hard questions from easy ones better than their length does?

Fits a reward model (METHOD 2) on some questions of ../shared/data/difficulty with their Qwen2.5-Math-7B pass rates, and
prints the table of `reward fit` for questions held out; `--ngram` fits the n-gram model on the same questions as well.

    python benchmarks/reward_hf.py --model FOLDER_OR_HUB_ID --questions 1720 --holdout 0.35 --layers 12
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import polars as pl
import torch

from select2reason.backends.reward_training import Tuning
from select2reason.difficulty.reward_fit import fit_reward, render_report

DATA = Path(__file__).resolve().parents[2] / "shared/data/difficulty"


def main() -> None:
    """Read the options, fit, print."""
    options = parsed()
    torch.set_num_threads(options.threads)
    table = read(options.data, options.set).sample(options.questions, seed=options.seed, shuffle=True)
    tuning = Tuning(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        lora=options.lora,
        layers=options.layers,
        max_length=options.max_length,
    )
    measure(f"hf:{options.model}", table, options, tuning)
    if options.ngram:
        measure("ngram", table, options, None)


def measure(base: str, table: pl.DataFrame, options: argparse.Namespace, tuning: Tuning | None) -> None:
    """One fit, its figures and its seconds."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = fit_reward(
            table, Path(folder) / "reward", base=base, holdout=options.holdout, seed=options.seed, tuning=tuning
        )
    print(
        f"\n{render_report(report)}\n\n{time.monotonic() - start:.0f} s in all, {tuning or 'no options'}\n", flush=True
    )


def read(data: Path, name: str) -> pl.DataFrame:
    """question, pass_rate: one row for each text."""
    if name == "deepscaler":
        rows = pl.read_parquet(data / "deepscaler_qwen25math7b_passrate.parquet")
        rows = rows.select(question="prompt", pass_rate=1 - pl.col("difficulty") / 100)
    else:
        rows = pl.read_parquet(data / "math_test_levels_passrates.parquet")
        rows = rows.select(question="problem", pass_rate="pass_qwen25_math_7b_t06_k50")
    return rows.unique("question", maintain_order=True)


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder or Hub id, e.g. HuggingFaceTB/SmolLM2-135M-Instruct")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--set", choices=("deepscaler", "math"), default="deepscaler")
    parser.add_argument("--questions", type=int, default=1720)
    parser.add_argument("--holdout", type=float, default=0.35)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--layers", type=int, help="keep the first so many layers")
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ngram", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
