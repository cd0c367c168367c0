"""A made-up score table with everything a real one holds: ties, missing difficulties, flags, dropped rows."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from select2reason.comparing import Comparison, compare_choices
from select2reason.reasons import ELIGIBLE
from select2reason.report import Examples
from select2reason.selection import Candidates, rank

MakeScores = Callable[..., pl.DataFrame]
FLAGS = {
    "no_trace": 0.0,
    "looping": 0.06,
    "cut_off": 0.03,
    "damaged_tags": 0.005,
    "no_answer": 0.02,
    "wrong_answer": 0.08,
    "language_switch": 0.01,
    "runs_on": 0.01,
    "contaminated": 0.002,
    "duplicate": 0.004,
    "over_cutoff": 0.0,
}


@pytest.fixture(scope="session")
def make_scores() -> MakeScores:
    """`make_scores(rows, seed=0)`: a pool of which a tenth is selected by the joint rank."""
    return synthetic_scores


def synthetic_scores(rows: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    difficulty = rng.beta(1.6, 1.8, rows)
    raw = np.exp(rng.normal(7.4 + 1.6 * difficulty, 0.65)).astype(np.uint32) + 20
    trace = (raw * rng.uniform(0.85, 1.0, rows)).astype(np.uint32)
    rethinking = rng.poisson(trace * (0.003 + 0.004 * difficulty))
    known = np.where(rng.random(rows) < 0.02, np.nan, difficulty)
    base = pl.DataFrame(
        {
            "row": np.arange(rows, dtype=np.uint32),
            "difficulty": pl.Series(known, nan_to_null=True),
            "trace_tokens": trace,
            "trace_tokens_raw": raw,
            "total_tokens": raw + rng.integers(200, 900, rows).astype(np.uint32),
            "rethinking_tokens": rethinking.astype(np.uint32),
        }
    )
    flags = {name: rng.random(rows) < p for name, p in FLAGS.items()}
    flags["over_cutoff"] = base["total_tokens"].to_numpy() > 16_384
    pool = base.with_columns(**{name: pl.Series(flag) for name, flag in flags.items()})
    return _select(pool.with_columns(contaminated=pl.lit(None, pl.Boolean), question_group=pl.col("row") // 2))


def _select(pool: pl.DataFrame) -> pl.DataFrame:
    dropped = pl.coalesce(*(pl.when(pl.col(name)).then(pl.lit(name)) for name in FLAGS))
    ranked = (
        pool.with_columns(reason=dropped, eligible=~pl.any_horizontal(pl.col(list(FLAGS)).fill_null(False)))
        .with_columns(rank_difficulty=_rank("difficulty"), rank_length=_rank("trace_tokens"))
        .with_columns(rank_joint=0.25 * pl.col("rank_difficulty") + 0.75 * pl.col("rank_length"))
    )
    taken = max(1, int(ranked["eligible"].sum()) // 10)
    selected = (pl.col("rank_joint").rank("ordinal") <= taken).fill_null(False)
    return (
        ranked.with_columns(selected=selected)
        .with_columns(
            reason=pl.when("selected").then(pl.lit("selected")).otherwise(pl.col("reason").fill_null("ranked_below"))
        )
        .drop("eligible")
    )


def _rank(column: str) -> pl.Expr:
    eligible = pl.col("eligible")
    value = pl.when(eligible).then(pl.col(column).cast(pl.Float64).fill_null(-1.0))
    return value.rank("average", descending=True)


@pytest.fixture(scope="session")
def make_examples() -> Callable[[pl.DataFrame], Examples]:
    """`make_examples(scores)`: the ten best and ten nearly chosen, with made-up texts."""
    return synthetic_examples


def synthetic_examples(scores: pl.DataFrame) -> Examples:
    order = scores.filter(pl.col("rank_joint").is_not_null()).sort("rank_joint")
    return Examples(
        best=_texts(order.filter(pl.col("selected")).head(10)),
        nearly=_texts(order.filter(~pl.col("selected")).head(10)),
    )


def _texts(rows: pl.DataFrame) -> pl.DataFrame:
    question = pl.format("Let $n = {}$. Find every prime $p < n$ for which $p^2 + 2$ is prime.", "row")
    step = pl.lit("Wait, let me check that again: if $p = 3$ then $p^2 + 2 = 11$, which is prime.\n\n")
    return rows.select(
        "row",
        "difficulty",
        "trace_tokens",
        "total_tokens",
        "rethinking_tokens",
        "rank_joint",
        "reason",
        question=question,
        trace=step.repeat_by(40).list.join(""),
        answer=pl.lit("The answer is \\boxed{3}."),
        gold=pl.lit("3"),
    )


@pytest.fixture(scope="session")
def compared() -> Callable[[pl.DataFrame], Comparison]:
    """`compared(scores)`: all strategies at the selection's size."""
    return synthetic_comparison


def synthetic_comparison(scores: pl.DataFrame) -> Comparison:
    dropped = np.where(scores["rank_joint"].is_null().to_numpy(), 0, ELIGIBLE)
    columns = {name: scores[name].to_numpy() for name in ("trace_tokens", "total_tokens", "rethinking_tokens")}
    ranked = rank(
        Candidates(
            difficulty=scores["difficulty"].fill_null(np.nan).to_numpy(),
            **columns,
            question_group=np.arange(scores.height),
            category=np.arange(scores.height) % 7 - 1,
            dropped=dropped.astype(np.int8),
        )
    )
    selection = ranked.select(rows=max(1, int(scores["selected"].sum())))
    return compare_choices(ranked, selection, scores, cutoff_tokens=16_384)


@pytest.fixture(scope="session")
def manifest() -> dict[str, object]:
    return synthetic_manifest()


def synthetic_manifest() -> dict[str, object]:
    return {
        "command": "select2reason select pool/*.jsonl --out chosen --fraction 0.10",
        "pool": {
            "sources": [
                {"path": "pool/openr1-00.jsonl", "rows": 1200, "examples": 1200, "digest": "b3:3f1c9a77e2d0"},
                {"path": "pool/openr1-01.jsonl", "rows": 803, "examples": 800, "digest": "b3:91aa04cc5e1b"},
            ],
            "layout": "openr1",
            "rows": 2003,
            "quarantined": 3,
            "set_aside": 3,
        },
        "parameters": {
            "strategy": "joint",
            "weight": 0.25,
            "fraction": "0.10",
            "rows": None,
            "token_budget": None,
            "cutoff_len": 16384,
            "per_question": 1,
            "preset": "safe",
            "seed": 0,
            "difficulty": "builtin",
            "tokenizer": "builtin",
        },
        "versions": {"select2reason": "0.1.0", "python": "3.11.7"},
        "digests": {"scores.parquet": "b3:0c5d"},
    }
