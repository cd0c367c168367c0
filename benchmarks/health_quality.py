"""How well the health rules and the verification do on real traces.

    python benchmarks/health_quality.py SHARED

SHARED is the folder of real data. Prints what the loop rule flags on traces of which it is known whether they are
right, and how many of the rows that a selection keeps of r1_bangla_mmlu_traces are right, by strategy and preset. Right
or wrong is told there by reading the choice's letter in a way of its own, not by the program's grader.
"""

import re
import sys
import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from select2reason import pipeline
from select2reason.health.loops import LOOPING, find_loops, number_tokens
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings
from select2reason.tokens import load_tokenizer

_SAID = re.compile(r"(?:উত্তর|[Aa]nswer|[Oo]ption|বিকল্প|অপশন)[^A-Za-z\n]{0,30}\(?([A-D])(?![A-Za-z])")
_BOLD = re.compile(r"\*\*\s*\(?([A-D])(?![A-Za-z])")
_ANY = re.compile(r"(?<![A-Za-z])([A-D])(?![A-Za-z])")


def letter(text: str) -> str | None:
    """The choice that a final text makes: after a word for answer, else in bold, else the last that stands alone."""
    for pattern in (_SAID, _BOLD, _ANY):
        if found := pattern.findall(text):
            return str(found[-1])
    return None


def loops(traces: Path) -> None:
    tokenizer = load_tokenizer()
    numbers = number_tokens(tokenizer)

    def looping(texts: pl.Series) -> np.ndarray:
        return find_loops(tokenizer.encode(texts), numbers).share > LOOPING

    sky = pl.read_parquet(traces / "skyt1_math_traces.parquet")
    right = sky["score"].list.first().to_numpy()
    found = looping(sky["code"].list.first())
    print(f"skyt1_math_traces: {len(right):,} traces, {right.mean():.1%} right")
    print(f"  looping {found.mean():.1%}; of these {right[found].mean():.1%} right, others {right[~found].mean():.1%}")
    for name in ("limo_r1_distill_qwen32b", "limo_qwen25_32b_short", "limo_official_solutions"):
        found = looping(pl.read_parquet(traces / f"{name}.parquet")["solution"])
        print(f"{name}: {found.sum()} of {len(found)} looping")


def bangla(path: Path) -> None:
    frame = pl.read_parquet(path)
    right = np.array([letter(text) == gold for text, gold in zip(frame["gen_ans"], frame["answer"], strict=True)])
    print(f"r1_bangla_mmlu_traces: {len(right):,} rows, {right.mean():.1%} right")
    pool = PoolSettings(
        pools=(str(path),),
        columns={"question": "formated_question", "trace": "reason", "answer": "gen_ans", "gold": "answer"},
    )
    paper = SelectSettings(fraction=Decimal("0.10"), preset="paper")
    for name, chosen in {
        "longest paper": replace(paper, strategy="longest"),
        "joint paper": paper,
        "longest safe": replace(paper, preset="safe", strategy="longest"),
        "joint safe": replace(paper, preset="safe"),
        "joint safe, answers left alone": replace(paper, preset="safe", verify="off"),
    }.items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            pipeline.select(pool, ScoreSettings(), chosen, out)
            table = pl.read_parquet(out / "scores.parquet")
        kept, eligible = table["selected"].to_numpy(), table["rank_joint"].is_not_null().to_numpy()
        print(
            f"  {name}: kept {kept.sum():,} of {eligible.sum():,} eligible, {right[kept].mean():.1%} right", flush=True
        )


if __name__ == "__main__":
    data = Path(sys.argv[1]) / "data"
    loops(data / "traces")
    bangla(data / "unlicensed" / "r1_bangla_mmlu_traces.parquet")
