"""How fast grading is, and what hostile answers cost in time and memory.

    python benchmarks/grading_speed.py [--pairs 10000] [--workers 2] [--timeout 5]

Needs ../shared/data/grading. The mix is real: answers of several models to 13 benchmarks with their golds, each pair as
often as it was sampled. Math-Verify alone is timed on a part of the same pairs, in one process, and given twice its
rate for two. Then 1% of the pairs are replaced by hostile ones, no two the same.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import polars as pl
import psutil  # type: ignore[import-untyped]

from select2reason.grading import Grader, final_answer

DATA = Path(__file__).resolve().parents[2] / "shared/data/grading"
GRADED = ("qwen25_3b_math_eval_outputs", "skyt_eval_short_outputs", "rho1_outputs")
GSM8K = "gsm8k_gpt3_solutions"
Pair = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Graded:
    """A completion with its gold and the grade stored with it."""

    completion: str
    gold: str
    stored: bool


def graded(name: str) -> list[Graded]:
    rows = pl.read_parquet(DATA / f"{name}.parquet").iter_rows(named=True)
    if name != GSM8K:
        return [Graded(text, r["gt"], score) for r in rows for text, score in zip(r["code"], r["score"], strict=True)]
    models = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    solutions = [(json.loads(row[model]), final_answer(row["ground_truth"]) or "") for row in rows for model in models]
    return [Graded(solution["solution"], gold, solution["is_correct"]) for solution, gold in solutions]


def sample(rows: list[Graded], n: int) -> list[Graded]:
    return random.Random(0).sample(rows, min(n, len(rows)))


def pairs_of(rows: list[Graded]) -> list[Pair]:
    return [(final_answer(row.completion), row.gold) for row in rows]


def hostile(n: int) -> Pair:
    """One hostile pair of many kinds, no two the same."""
    kinds = (
        f"{n}" + "^{9" * 4 + "}" * 4,
        rf"\left(10^{{7}}+{n}\right)!",
        rf"{n}^{{3\cdot 10^{{8}}}}+1",
        "x" * 1_000_000 + str(n),
        r"\frac{" * 100_000 + str(n),
        "(" * 90 + str(n) + "x" + ")" * 90,
        r"\sqrt{" * 80 + f"x+{n}" + "}" * 80,
        f"{n}\x00+\x00x",
        rf"\sum_{{k=1}}^{{10^{{9}}+{n}}} \frac{{1}}{{k^2}}",
        rf"\int_0^1 e^{{x^{{x^{{x+{n}}}}}}} dx",
        f"(x+{n})^{{100000}}",
        rf"\binom{{10^{{8}}+{n}}}{{5\cdot 10^{{7}}}}",
    )
    return kinds[n % len(kinds)], "x^2+1"


# --- speed ----------------------------------------------------------------------------------------------------------


def timed(pairs: list[Pair], args: argparse.Namespace) -> tuple[float, list[bool | None]]:
    """Seconds from the first pair to the last, start of the workers included, and the verdicts."""
    start = time.perf_counter()
    with Grader(args.workers, timeout_s=args.timeout) as grader:
        verdicts = grader.grade(pairs)
    return time.perf_counter() - start, verdicts


def math_verify_rate(pairs: list[Pair]) -> float:
    """Pairs a second of Math-Verify alone in one process, its import not counted."""
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    start = time.perf_counter()
    for given, gold in pairs:
        verify(parse(f"${gold}$"), parse(f"${given}$"))
    logging.disable(logging.NOTSET)
    return len(pairs) / (time.perf_counter() - start)


def memory(stop: threading.Event, seen: list[tuple[float, float]]) -> None:
    """The memory of this process and of its workers together in MB, twice a second."""
    tree = psutil.Process()
    while not stop.wait(0.5):
        workers = 0
        for process in tree.children():
            try:
                workers += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        seen.append((tree.memory_info().rss / 1e6, workers / 1e6))


def speed(args: argparse.Namespace) -> None:
    rows = [row for name in GRADED for row in graded(name)]
    pairs = pairs_of(sample(rows, args.pairs))
    seconds, verdicts = timed(pairs, args)
    part = [pair for pair in pairs if pair[0]][:500]
    alone = args.workers * math_verify_rate(part)
    print(f"{len(pairs):,} pairs, {len(set(pairs)):,} different, {args.workers} workers: {seconds:.1f} s,", end=" ")
    print(f"{len(pairs) / seconds:,.0f} pairs/s; {dict(Counter(map(str, verdicts)))}")
    print(f"Math-Verify alone, {args.workers} x one process: {alone:,.0f} pairs/s")
    bad = range(len(pairs) // 100)
    mixed = pairs[: len(pairs) - len(bad)] + [hostile(n) for n in bad]
    random.Random(1).shuffle(mixed)
    stop, seen = threading.Event(), list[tuple[float, float]]()
    watch = threading.Thread(target=memory, args=(stop, seen))
    watch.start()
    seconds, verdicts = timed(mixed, args)
    stop.set()
    watch.join()
    print(f"with {len(bad)} hostile ones: {seconds:.1f} s, {len(mixed) / seconds:,.0f} pairs/s;", end=" ")
    print(dict(Counter(map(str, verdicts))))
    print("memory in MB by sixths of the run, this process + workers:", end=" ")
    for part in (seen[len(seen) * n // 6 : len(seen) * (n + 1) // 6] for n in range(6)):
        print(f"{fmean(own for own, _ in part):,.0f} + {fmean(workers for _, workers in part):,.0f}", end="; ")
    print(f"peak {max(map(sum, seen)):,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=5.0)
    speed(parser.parse_args())


if __name__ == "__main__":
    main()
