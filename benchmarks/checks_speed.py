"""What the checks cost beside counting the traces: CPU seconds of each, on the same batches, in one run.

    python benchmarks/checks_speed.py POOL

POOL is any pool. It is read into the cache first; then each part is run alone over all of its batches. Counting is what
`trace` measures without health: tokens, repeats, rethinking words. Checks are all that was added to it.
"""

import sys
import time
from collections.abc import Callable, Iterator

import polars as pl

from select2reason import trace
from select2reason.asking import question_spec
from select2reason.contamination import load_prints
from select2reason.health.loops import find_loops
from select2reason.opening import open_pool
from select2reason.pool import TEXT, Pool
from select2reason.settings import PoolSettings
from select2reason.tokens import load_tokenizer
from select2reason.verification import answers_spec

_TOGETHER = 1_024  # rows, as the scorer of questions has them


def batches(pool: Pool) -> Iterator[pl.DataFrame]:
    for shard in range(len(pool.shards)):
        yield from pool.batches(TEXT, shard=shard)


def together(pool: Pool) -> Iterator[pl.DataFrame]:
    held: list[pl.DataFrame] = []
    for batch in batches(pool):
        held.append(batch.select("question", "gold"))
        if sum(map(len, held)) >= _TOGETHER:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def cpu(name: str, parts: Iterator[pl.DataFrame], work: Callable[[pl.DataFrame], object]) -> float:
    """CPU seconds of the work alone, not of reading."""
    spent = 0.0
    for part in parts:
        start = time.process_time()
        work(part)
        spent += time.process_time() - start
    print(f"{name:<22} {spent:7.1f} s", flush=True)
    return spent


def main() -> None:
    pool = open_pool(PoolSettings(pools=(sys.argv[1],))).pool
    print(f"{pool.rows:,} rows, {pool.text_bytes / 1e6:,.0f} MB of text")
    scorer = trace.TraceScorer(load_tokenizer())
    scorer.score(next(batches(pool)))  # loads the vocabulary
    whole = cpu("traces, with health", batches(pool), scorer.score)
    loops = cpu_of_loops(pool, scorer)
    health = cpu("health of texts", batches(pool), trace._health)
    questions = cpu("questions, benchmarks", together(pool), question_spec(load_prints()).make().score)
    answers = cpu("answers", batches(pool), answers_spec().make().score)
    counting = whole - loops - health
    added = loops + health + questions + answers
    print(f"counting {counting:.1f} s, checks {added:.1f} s: {added / counting:.2f} times counting")


def cpu_of_loops(pool: Pool, scorer: trace.TraceScorer) -> float:
    spent = 0.0
    for batch in batches(pool):
        encoded = scorer.tokenizer.encode(batch["trace"])
        start = time.process_time()
        find_loops(encoded, scorer.numbers)
        spent += time.process_time() - start
    print(f"{'loops':<22} {spent:7.1f} s", flush=True)
    return spent


if __name__ == "__main__":
    main()
