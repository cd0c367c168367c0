"""The pools that are measured: made once by the shared tool in the OpenR1-Math layout, and cut for the peers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

SHARED = Path(__file__).resolve().parents[3] / "shared"
TOKENIZER = SHARED / "tokenizers" / "qwen2.5"
_BYTES_A_ROW = 24_000  # Parquet, the cache, and two selections of a tenth
_BYTES_OF_ALL_SIDES = 90_000  # with what is cut for the peers, and a cache and a selection of each preset


@dataclass(frozen=True, slots=True)
class Made:
    """A pool of so many rows, and the bytes of its text column."""

    path: Path
    rows: int
    text_bytes: int

    @property
    def traces(self) -> Path:
        """The same traces alone, cut out between their tags, as a table with one column `text`."""
        return self._beside(
            "traces.parquet",
            lambda rows, to: rows.select(text=_response().str.extract(r"(?s)<think>(.*)</think>", 1)).sink_parquet(to),
        )

    @property
    def examples(self) -> Path:
        """The same rows in the layout that the official repository reads."""
        return self._beside(
            "examples.jsonl",
            lambda rows, to: rows.select("problem_type", instruction="problem", output=_response()).sink_ndjson(to),
        )

    def _beside(self, suffix: str, write: Callable[[pl.LazyFrame, Path], object]) -> Path:
        path = self.path.with_suffix(f".{suffix}")
        if not path.exists():
            write(pl.scan_parquet(self.path), path)
        return path


def _response() -> pl.Expr:
    return pl.col("generations").list.first()


def made(rows: int, work: Path) -> Made:
    """The pool of so many rows in the folder `work`, made where it is missing."""
    path = work / f"pool-{rows}.parquet"
    if not path.exists():
        print(f"making a pool of {rows:,} rows", flush=True)
        part = work / f"part-{rows}.parquet"
        subprocess.run(
            [sys.executable, SHARED / "tools/make_pool", str(rows), part], check=True, stdout=subprocess.DEVNULL
        )
        part.rename(path)
    size = pl.scan_parquet(path).select(_response().str.len_bytes().cast(pl.Int64).sum())
    return Made(path, rows, size.collect(engine="streaming").item())


def refuse_full(rows: Sequence[int], large: Sequence[int], work: Path) -> None:
    """End here where the disk has no room for the pools of all sides (`rows`, which stay), or for one of ours alone
    (`large`, which goes), their caches and selections."""
    free = shutil.disk_usage(work).free
    needed = sum(rows) * _BYTES_OF_ALL_SIDES + max(large, default=0) * _BYTES_A_ROW
    if free < needed:
        sys.exit(f"this takes {needed / 1e9:,.0f} GB while it is measured, and {work} has {free / 1e9:,.0f} GB free")
