"""A selection's folder, opened again: its examples as a trainer takes them, and what the manifest says of them.

Nothing is believed that can be looked at: the data files must be those that the manifest names, byte for byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow.parquet as pq

from select2reason.errors import UsageError
from select2reason.files import file_digest, refuse_other_format
from select2reason.tags import TAGS
from select2reason.vocabulary import BUILTIN

_FORMAT = 1  # of a selection's manifest (manifest.py)
_BATCH_ROWS = 256  # some 10 MB of long traces
_DATA = re.compile(r"data/[\w-]+\.parquet")  # a manifest may come from anybody: no name leads out of its folder
_TURNS = {"system": 0, "question": 1, "response": 2}  # of `messages`, as a selection writes them


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chosen examples on disk. `tokens` and `longest` are of `total_tokens` (METHOD 9.9), counted with `tokenizer`;
    `cutoff_tokens` is the cutoff that they were chosen under, 0 = none; `digest` names the data files' bytes."""

    folder: Path
    files: tuple[Path, ...]
    digest: str
    rows: int
    tokens: int
    longest: int
    untagged: int  # examples without a think tag
    cutoff_tokens: int
    tokenizer: str
    manifest: Mapping[str, Any]

    @property
    def limit(self) -> int:
        """The length, in tokens, that cuts no example: the cutoff in force, else the longest example's."""
        return max(self.cutoff_tokens, self.longest)

    @property
    def builtin_counts(self) -> bool:
        """Whether the tokens were counted with Qwen2.5's vocabulary."""
        return self.tokenizer == BUILTIN

    def batches(self) -> Iterator[pl.DataFrame]:
        """`system`, `question`, `response` (texts, none null) and `total_tokens`, best first, some rows at a time."""
        turns = {name: _content(at) for name, at in _TURNS.items()}
        for file in self.files:
            for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS, columns=["messages", "total_tokens"]):
                yield pl.DataFrame(batch).select(**turns, total_tokens="total_tokens")


def open_chosen(folder: Path) -> Chosen:
    """Open a folder that `select` wrote.

    Raises UsageError where there is none, or its data is not what was written.
    """
    manifest = _manifest(folder)
    names = sorted(name for name in manifest["outputs"] if _DATA.fullmatch(name))
    files = tuple(folder / name for name in names)
    for name, file in zip(names, files, strict=True):
        if not file.is_file() or file_digest(file) != manifest["outputs"][name]:
            raise UsageError(f"{file} is missing or was changed since it was selected; run the same select again")
    tags = [tag for pair in TAGS for tag in pair]
    tokens = pl.col("total_tokens").cast(pl.Int64)
    rows, total, longest, untagged = (
        pl.scan_parquet(list(files), glob=False)
        .select(
            pl.len(),
            tokens.sum().alias("tokens"),
            tokens.max().alias("longest"),
            (~_content(_TURNS["response"]).str.contains_any(tags)).sum().alias("untagged"),
        )
        .collect(engine="streaming")
        .row(0)
    )
    return Chosen(
        folder=folder,
        files=files,
        digest=hashlib.sha256("".join(manifest["outputs"][name] for name in names).encode()).hexdigest()[:16],
        rows=rows,
        tokens=total,
        longest=longest,
        untagged=untagged,
        cutoff_tokens=manifest["parameters"]["cutoff_len"],
        tokenizer=manifest["parameters"]["tokenizer"],
        manifest=manifest,
    )


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = orjson.loads((folder / "manifest.json").read_bytes())
        chosen = manifest["selected"] > 0 and any(_DATA.fullmatch(name) for name in manifest["outputs"])
        refuse_other_format(folder / "manifest.json", manifest, _FORMAT, "run the same select again")
        known = isinstance(manifest["parameters"]["cutoff_len"], int) and isinstance(
            manifest["parameters"]["tokenizer"], str
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder} is no selection; give a folder that `select2reason select` wrote") from error
    if not known:
        raise UsageError(f"{folder / 'manifest.json'} was changed since it was written; run the same select again")
    if not chosen:
        raise UsageError(f"{folder} holds no chosen rows; give a folder that `select2reason select` wrote")
    return manifest


def _content(turn: int) -> pl.Expr:
    return pl.col("messages").list.get(turn).struct.field("content")
