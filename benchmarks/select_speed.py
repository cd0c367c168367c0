"""How fast `select` is, and how much memory it takes: against datasets.map with Hugging Face tokenizers, and against
the least that any program must do (read the text column, count its tokens with gigatoken).

    python benchmarks/select_speed.py [--rows 20000] [--more-rows 100000] [--peer-rows 2000] [--repeat 3] [--work DIR]

Needs ../shared/tools/make_pool, which makes the pools. Every figure is of a whole process, start included; `--repeat`
runs each side in turn and the medians are printed. Shared machines are noisy: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil

HERE = Path(__file__).resolve()
SHARED = HERE.parents[2] / "shared"

READ = """
import sys, pyarrow.parquet as pq
for batch in pq.ParquetFile(sys.argv[1]).iter_batches(512, columns=["generations"]):
    batch.column(0).values.nbytes
"""
COUNT = """
import sys, awkward, numpy, polars, pyarrow.parquet as pq
from select2reason.tokens import load_tokenizer
tokenizer, tokens = load_tokenizer(), 0
for batch in pq.ParquetFile(sys.argv[1]).iter_batches(512, columns=["generations"]):
    tokens += int(tokenizer.count(polars.Series(batch.column(0).values)).sum())
print(tokens)
"""
PEER = """
import sys, datasets, tokenizers
datasets.disable_progress_bars()
tokenizer = tokenizers.Tokenizer.from_file(sys.argv[2])

def count(rows):
    traces = [r[0].split("<think>")[1].split("</think>")[0] for r in rows["generations"]]
    return {"tokens": [len(e.ids) for e in tokenizer.encode_batch_fast(traces, add_special_tokens=False)]}

pool = datasets.load_dataset("parquet", data_files=sys.argv[1], split="train", cache_dir=sys.argv[3])
done = pool.map(count, batched=True, batch_size=100, num_proc=2, remove_columns=pool.column_names)
done.to_parquet(sys.argv[4])
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One whole process: wall seconds, and the peak memory of it and its children together."""

    seconds: float
    peak_mb: float


def run(*command: str | Path, cache: Path | None = None) -> Run:
    """Run a process to its end, sampling the memory of its tree every 20 ms; what the last one wrote is on disk."""
    os.sync()
    env = {**os.environ, "TOKENIZERS_PARALLELISM": "true"} | ({"SELECT2REASON_CACHE": str(cache)} if cache else {})
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    tree, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        peak = max(peak, memory_of(tree))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(process.stderr.read().decode() if process.stderr else "failed")
    return Run(time.perf_counter() - start, peak / 1e6)


def memory_of(tree: psutil.Process) -> int:
    total = 0
    try:
        for process in [tree, *tree.children(recursive=True)]:
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def make_pool(rows: int, work: Path) -> Path:
    path = work / f"pool-{rows}.parquet"
    if not path.exists():
        subprocess.run(
            [sys.executable, str(SHARED / "tools/make_pool"), str(rows), str(path)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return path


def select(pool: Path, out: Path, cache: Path, *, weight: float = 0.25) -> Run:
    shutil.rmtree(out, ignore_errors=True)
    options = ["--preset", "paper", "--difficulty", "column:pass_rate", "--weight", str(weight), "--out", str(out)]
    return run(sys.executable, "-m", "select2reason", "select", pool, *options, cache=cache)


def cold(pool: Path, work: Path) -> Run:
    cache = work / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    return select(pool, work / "out", cache)


def peer(pool: Path, rows: int, work: Path) -> Run:
    """The peer on the first rows of the pool; its counts must equal ours."""
    part, counted = work / "part.parquet", work / "peer.parquet"
    pl.scan_parquet(pool).head(rows).sink_parquet(part, row_group_size=500)
    shutil.rmtree(work / "hf", ignore_errors=True)
    tokenizer = SHARED / "tokenizers/qwen2.5/tokenizer.json"
    done = run(sys.executable, "-c", PEER, part, tokenizer, work / "hf", counted)
    ours = pl.read_parquet(work / "out" / "scores.parquet")["trace_tokens_raw"].head(rows).to_list()
    if pl.read_parquet(counted)["tokens"].to_list() != ours:
        raise SystemExit("the token counts differ from those of Hugging Face tokenizers")
    return done


def median(runs: list[Run]) -> Run:
    return Run(statistics.median(r.seconds for r in runs), statistics.median(r.peak_mb for r in runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--more-rows", type=int, default=100_000)
    parser.add_argument("--peer-rows", type=int, default=2_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "select2reason-bench")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    pool, more = make_pool(args.rows, args.work), make_pool(args.more_rows, args.work)
    ours, large, reads, counts, peers, again = [], [], [], [], [], []
    for _ in range(args.repeat):
        ours.append(cold(pool, args.work))
        again.append(select(pool, args.work / "again", args.work / "cache", weight=0.5))
        reads.append(run(sys.executable, "-c", READ, pool))
        counts.append(run(sys.executable, "-c", COUNT, pool))
        peers.append(peer(pool, args.peer_rows, args.work))
        large.append(cold(more, args.work))
    report(args, median(ours), median(again), median(reads), median(counts), median(peers), median(large))


def report(args: argparse.Namespace, ours: Run, again: Run, read: Run, count: Run, peer_: Run, large: Run) -> None:
    rate, peer_rate = args.rows / ours.seconds, args.peer_rows / peer_.seconds
    lines = [
        ("select, cold", args.rows, ours),
        ("select again, another weight", args.rows, again),
        ("read the text column", args.rows, read),
        ("read it and count its tokens (gigatoken)", args.rows, count),
        ("datasets.map + HF tokenizers", args.peer_rows, peer_),
        ("select, cold", args.more_rows, large),
    ]
    print(f"{'':42}{'rows':>8}{'seconds':>10}{'rows/s':>10}{'peak MB':>10}")
    for name, rows, one in lines:
        print(f"{name:42}{rows:>8,}{one.seconds:>10.2f}{rows / one.seconds:>10,.0f}{one.peak_mb:>10,.0f}")
    ratios = {
        "rows/s against datasets.map": rate / peer_rate,
        "time against read + count": ours.seconds / count.seconds,
        "peak memory, more rows against fewer": large.peak_mb / ours.peak_mb,
    }
    for name, ratio in ratios.items():
        print(f"{name:42}{ratio:>8.2f}")
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
