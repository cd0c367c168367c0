"""Fails where the hot path has become a fifth slower against gigatoken than it was when that was recorded.

    python benchmarks/guard.py [--record] [--rounds 15]

On one core, the hot path is what every row goes through: the pool is built, then each scorer measures each batch.
Its CPU seconds are set against those of gigatoken counting the same traces, its vocabulary loaded, in the same process:
a slower or a busier machine slows both, a slower program only one. `--record` keeps the ratio of now in guard.json, to
be committed with the change that accounts for it.

Why this and not something steadier: counting instructions needs counters that virtual machines do not show (`perf stat`
says "not supported"), or valgrind, which CI has not got. Why it is steady enough: both sides are cut into pieces of
a few to 40 ms that take turns, so that each has many chances to run undisturbed, and of each piece the fastest of all
rounds counts; sums of whole passes scattered by 12% under load.
On two cores eight runs on unchanged code, four of them with two busy loops beside them, came out between 12.8 and 13.6,
and 33% more work as +33%. The built-in difficulty is left out: in its lookups alone the same code differs by 40% from
run to run. Another kind of processor may have another ratio: record it where it is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path

import polars as pl
from speed.programs import count_tokens

from select2reason.demo import make_demo_pool
from select2reason.opening import open_pool
from select2reason.pool import TEXT, Pool
from select2reason.progress import console
from select2reason.scored import Checks, find_scorers
from select2reason.settings import PoolSettings, ScoreSettings

Piece = Callable[[], object]
RECORD = Path(__file__).resolve().with_suffix(".json")
ALLOWED = 1.2  # over the recorded ratio: between the noise, some 1.05, and a slowdown by 30%
SCORES = ScoreSettings(difficulty="column:pass_rate")
BATCH_ROWS = 512  # fewer than in a run, so that a piece is short


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    alone()
    console.quiet = True
    with tempfile.TemporaryDirectory() as folder:
        ours, limit = fastest(args.rounds, Path(folder))
    ratio = ours / limit
    print(f"hot path {ours:.3f} s of CPU, gigatoken over the same traces {limit:.3f} s: {ratio:.2f} times")
    if args.record:
        RECORD.write_text(json.dumps({"ratio": round(ratio, 3)}) + "\n")
        return
    recorded = json.loads(RECORD.read_text())["ratio"]
    print(f"recorded {recorded:.2f}, now {ratio / recorded - 1:+.0%}, allowed {ALLOWED - 1:+.0%}")
    if ratio > ALLOWED * recorded:
        sys.exit(
            "the hot path has become slower; find out why, or record it with `python benchmarks/guard.py --record`"
        )


def alone() -> None:
    """On one core, with one thread for Polars, which reads their number when it is imported: threads that look for work
    in vain burn the more CPU the idler the machine is."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if os.environ.get("POLARS_MAX_THREADS") != "1":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "POLARS_MAX_THREADS": "1"})


def fastest(rounds: int, folder: Path) -> tuple[float, float]:
    """CPU seconds of the hot path and of the limit over one pool: the sums of their pieces, each at its fastest."""
    ours, limit = pieces(folder)
    best: dict[Piece, float] = {}
    for _ in range(rounds):
        for piece, beside in zip(ours, cycle(limit), strict=False):
            for one in (piece, beside):
                start = time.process_time()
                one()
                spent = time.process_time() - start
                best[one] = min(spent, best.get(one, spent))
    return sum(best[piece] for piece in ours), sum(best[piece] for piece in limit)


def pieces(folder: Path) -> tuple[list[Piece], list[Piece]]:
    """Of the hot path: building the pool, and each scorer over each batch. Of the limit: the same batches, counted."""
    file = folder / "pool.parquet"
    make_demo_pool(folder / "pool.jsonl")  # our own text: CI has no other
    pl.read_ndjson(folder / "pool.jsonl").write_parquet(file)
    whole = pl.concat(build(file, folder / "cache").batches(TEXT, shard=0))
    batches = list(whole.iter_slices(BATCH_ROWS))
    scorers = [(spec.make(), spec.inputs) for spec in find_scorers(SCORES, Checks()).of_rows]
    scoring = [partial(one.score, batch.select(inputs)) for one, inputs in scorers for batch in batches]
    count_tokens.load()
    texts = [batch["trace"].to_arrow(compat_level=pl.CompatLevel.oldest()) for batch in batches]
    return [partial(build, file, folder / "cache"), *scoring], [partial(count_tokens.count, one) for one in texts]


def build(file: Path, cache: Path) -> Pool:
    shutil.rmtree(cache, ignore_errors=True)
    return open_pool(PoolSettings((str(file),), cache_dir=cache)).pool


if __name__ == "__main__":
    main()
