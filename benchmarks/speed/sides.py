"""What is measured: `select` itself, the least that any program must do, and three ways to do part of it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from select2reason.tokens import load_tokenizer
from speed.environments import PROGRAMS, environment
from speed.measuring import Run, run
from speed.pools import TOKENIZER, Made


@dataclass(frozen=True, slots=True)
class Side:
    """One row of the table: its name in results, what it says there, and how a pool is put through it in a folder."""

    name: str
    told: str
    measure: Callable[[Made, Path], Run]
    small: bool = False  # a peer that takes minutes: measured over fewer rows


def _select(pool: Made, work: Path, *, to: str, cache: str, **options: str) -> Run:
    out, kept = work / to, work / cache
    shutil.rmtree(out, ignore_errors=True)
    said = [word for name, value in options.items() for word in (f"--{name}", value)]
    return run(
        [sys.executable, "-m", "select2reason", "select", pool.path, *said, "--out", out],
        work / "log",
        leaves=(kept, out),
        environment={"SELECT2REASON_CACHE": str(kept)},
    )


def _cold(pool: Made, work: Path, *, preset: str, difficulty: str) -> Run:
    shutil.rmtree(work / preset, ignore_errors=True)
    return _select(pool, work, to=f"{preset}-out", cache=preset, preset=preset, difficulty=difficulty)


def paper(pool: Made, work: Path) -> Run:
    """`select` as in the paper, with nothing in the cache."""
    done = _cold(pool, work, preset="paper", difficulty="column:pass_rate")
    counted = pl.read_parquet(work / "paper-out" / "scores.parquet")["trace_tokens_raw"]
    _same("`select`", int(counted.cast(pl.Int64).sum()), sum(_trace_tokens(pool)))
    return done


def again(pool: Made, work: Path) -> Run:
    """The same with another weight, from the cache that the last call of `paper` left."""
    options = {"preset": "paper", "difficulty": "column:pass_rate", "weight": "0.5"}
    return _select(pool, work, to="again-out", cache="paper", **options)


def asked_all(pool: Made, work: Path) -> Run:
    """`paper` with every check that it does not go by, with nothing in the cache."""
    shutil.rmtree(work / "all", ignore_errors=True)
    options = {"preset": "paper", "difficulty": "column:pass_rate", "checks": "all"}
    return _select(pool, work, to="all-out", cache="all", **options)


def safe(pool: Made, work: Path) -> Run:
    """`select` as it is without options, with nothing in the cache."""
    return _cold(pool, work, preset="safe", difficulty="builtin")


def read(pool: Made, work: Path) -> Run:
    return run([sys.executable, PROGRAMS / "read_text.py", pool.path], work / "log")


def limit(pool: Made, work: Path, *threads: str) -> Run:
    """Reading and counting; the sum must be that of our own tokenizer."""
    done = run([sys.executable, PROGRAMS / "count_tokens.py", pool.path, *threads], work / "log")
    _same("the limit", int(done.said), _whole_tokens(pool))
    return done


def limit_of_one(pool: Made, work: Path) -> Run:
    """The same with one thread that counts."""
    return limit(pool, work, "1")


def datasets_map(pool: Made, work: Path) -> Run:
    """Over the traces alone, which are cut out before; the counts must be ours."""
    cache, counted = work / "datasets", work / "datasets.parquet"
    shutil.rmtree(cache, ignore_errors=True)
    counted.unlink(missing_ok=True)
    command = [PROGRAMS / "datasets_map.py", pool.traces, TOKENIZER / "tokenizer.json", cache, counted]
    done = run([sys.executable, *command], work / "log", leaves=(cache, counted))
    _same("datasets.map", pl.read_parquet(counted)["tokens"].to_list(), _trace_tokens(pool))
    return done


def data_juicer(pool: Made, work: Path) -> Run:
    """Over the traces alone, which are cut out before; the counts of those it keeps must be our longest."""
    out, recipe, home = work / "data-juicer", work / "data-juicer.yaml", work / "data-juicer-home"
    for folder in (out, home):
        shutil.rmtree(folder, ignore_errors=True)
    wanted = (PROGRAMS / "data-juicer.yaml").read_text()
    recipe.write_text(wanted.format(traces=pool.traces, out=out, tokenizer=TOKENIZER))
    bin_ = environment("data-juicer")
    done = run(
        [bin_ / "python", bin_ / "dj-process", "--config", recipe],  # by name: its first line names where it was made
        work / "log",
        leaves=(out, home),
        environment={"PYTHONPATH": "", "HF_HOME": str(home), "DATA_JUICER_CACHE_HOME": str(home)},
    )
    stats = [json.loads(line) for line in (out / "chosen_stats.jsonl").read_text().splitlines()]
    kept = sorted((one["__dj__stats__"]["num_token"] for one in stats), reverse=True)
    _same("data-juicer", kept, sorted(_trace_tokens(pool), reverse=True)[: pool.rows // 10])
    return done


def longest_characters(pool: Made, work: Path) -> Run:
    out = work / "longest.jsonl"
    out.unlink(missing_ok=True)
    return run([sys.executable, PROGRAMS / "longest_characters.py", pool.examples, out], work / "log", leaves=(out,))


SIDES = (
    Side("paper", "`select`, preset `paper`, cold", paper),
    Side("again", "`select` again, another weight", again),
    Side("all", "`select`, preset `paper`, `--checks all`, cold", asked_all),
    Side("safe", "`select`, preset `safe`, built-in difficulty, cold", safe),
    Side("read", "read the text column, nothing else", read),
    Side("limit", "read it and count its tokens with gigatoken on every core, nothing else", limit),
    Side("limit of one", "the same with one counting thread", limit_of_one),
    Side("official", "the official longest-first, by characters", longest_characters),
    Side("datasets", "`datasets.map`, 2 processes, Hugging Face tokenizers", datasets_map, small=True),
    Side("data-juicer", "data-juicer, token counts and the longest tenth, `np: 2`", data_juicer, small=True),
)

# --- the same counts ------------------------------------------------------------------------------------------------

_known: dict[Path, list[int]] = {}


def _trace_tokens(pool: Made) -> list[int]:
    return _tokens(pool, pool.traces, pl.col("text"))


def _whole_tokens(pool: Made) -> int:
    return sum(_tokens(pool, pool.path, pl.col("generations").list.first()))


def _tokens(pool: Made, path: Path, text: pl.Expr) -> list[int]:
    """Our own counts, outside of what is timed."""
    if path not in _known:
        rows, tokenizer = pl.scan_parquet(path).select(text), load_tokenizer()
        _known[path] = [
            int(tokens)
            for start in range(0, pool.rows, 4_096)
            for tokens in tokenizer.count(rows.slice(start, 4_096).collect().to_series())
        ]
    return _known[path]


def _same(name: str, counted: object, ours: object) -> None:
    if counted != ours:
        sys.exit(f"{name} counts other tokens than select2reason")
