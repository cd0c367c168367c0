"""What a trial of the whole road needs, made here: a pool, a benchmark of other questions, a small random model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from select2reason.backends.trial_model import make_trial_model
from select2reason.demo import draw_lines, make_demo_pool

POOL, BENCHMARK, MODEL = "pool.jsonl", "benchmark.jsonl", "model"
_OTHER_SEED = 1_000_003  # of the benchmark: added to the pool's


def make_trial(folder: Path, *, examples: int, problems: int, seed: int = 0) -> None:
    """Write folder/pool.jsonl, folder/benchmark.jsonl (`question`, `answer`) and folder/model."""
    make_demo_pool(folder / POOL, examples=examples, seed=seed)
    asked = {line.question for line in draw_lines(examples, seed)}
    others = [line for line in draw_lines(4 * problems, seed + _OTHER_SEED) if line.question not in asked]
    rows = [{"question": line.question, "answer": str(line.puzzle.answer)} for line in others[:problems]]
    (folder / BENCHMARK).write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
    make_trial_model(folder / MODEL, _texts(folder / POOL), seed=seed)


def _texts(pool: Path) -> Iterator[str]:
    for line in pool.read_bytes().splitlines():
        row = orjson.loads(line)
        yield row["problem"]
        yield from row["generations"]
