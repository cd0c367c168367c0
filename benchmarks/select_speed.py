"""How fast `select` is, what memory and disk it takes, and what others take for part of the same work.

    python benchmarks/select_speed.py [--rows 5000 20000 100000] [--peer-rows 5000] [--large 200000 1000000]
        [--repeat 3] [--work DIR] [--write]

Needs ../shared: tools/make_pool makes the pools, and tokenizers/qwen2.5 is the peers' tokenizer. data-juicer gets an
environment of its own in .peers, made where it is missing. Every figure is of a whole process and its children, start
included; the sides take turns, `--repeat` times, and medians are told. Peers that take minutes run over `--peer-rows`
at most. `--large` measures `select` alone, once, and removes each of those pools when it is done. `--write` puts what
was measured into RESULTS.md. Shared machines are noisy: read the ratios, which are taken turn by turn.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from speed.measuring import Run, size_of
from speed.pools import Made, made, refuse_full
from speed.sides import SIDES, again, paper
from speed.telling import BASE_ROWS, Grown, Measured, large_section, section, write

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[5_000, 20_000, 100_000])
    parser.add_argument("--peer-rows", type=int, default=5_000)
    parser.add_argument("--large", type=int, nargs="*", default=[])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "select2reason-bench")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    refuse_full(args.rows, args.large, args.work)
    told = {}
    if args.rows:
        told["speed"] = section(turns(args.rows, args.peer_rows, args.repeat, args.work))
        print(told["speed"], flush=True)
    if args.large:
        told["large"] = large_section(large(args.large, args.work))
        print(told["large"])
    if args.write:
        for name, text in told.items():
            write(RESULTS, name, text)


def turns(sizes: list[int], peer_rows: int, repeat: int, work: Path) -> Measured:
    """Every side over every pool, in turn; ours also over as many rows as the slow peers get."""
    small = {min(rows, peer_rows) for rows in sizes}
    pools = {rows: made(rows, work) for rows in sorted({*sizes, *small})}
    runs: dict[tuple[str, int], list[Run]] = {}
    for turn in range(repeat):
        for rows, pool in pools.items():
            for side in SIDES:
                if side.name == "paper" or rows in (small if side.small else sizes):
                    done = side.measure(pool, work)
                    runs.setdefault((side.name, rows), []).append(done)
                    print(f"{turn + 1}/{repeat} {side.name}, {rows:,} rows: {done.seconds:.2f} s", flush=True)
    return Measured(pools, runs)


def large(sizes: list[int], work: Path) -> list[Grown]:
    """`select` cold and again on pools that are removed afterwards, and on one of BASE_ROWS to compare with."""
    return [_grown(made(BASE_ROWS, work), work), *(_once(rows, work) for rows in sizes)]


def _once(rows: int, work: Path) -> Grown:
    pool = made(rows, work)
    try:
        return _grown(pool, work)
    finally:
        pool.path.unlink()
        for folder in ("paper", "paper-out", "again-out"):
            shutil.rmtree(work / folder, ignore_errors=True)


def _grown(pool: Made, work: Path) -> Grown:
    cold = paper(pool, work)
    print(f"paper, {pool.rows:,} rows: {cold.seconds:.2f} s", flush=True)
    return Grown(pool, cold, again(pool, work), size_of(work / "paper"), size_of(work / "paper-out"))


if __name__ == "__main__":
    main()
