"""A result as a folder: DIR/data/train-*.parquet, README.md (the dataset card), scores.parquet, manifest.json,
report.html, quarantine.jsonl, or what its kind holds.

It is written under another name and put in place when whole; an earlier result is replaced only when asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import orjson

from select2reason.cores import cores
from select2reason.errors import OutputError
from select2reason.files import file_digest, named
from select2reason.parts import folder_put_at, refuse_unwritable

Kind = Literal["selection", "analysis", "comparison", "export", "model", "trial"]
"""What a folder holds; its manifest says so, and one kind never takes the place of another."""
CONTAMINATION = "contamination.parquet"
"""The file of evidence, where benchmarks were looked for: one row a hit."""
_READERS = 4  # files digested at once, at most


@contextmanager
def whole_folder(out: Path, *, force: bool, kind: Kind) -> Iterator[Path]:
    """A folder to write into, put at `out` when the block ends well; see `check_out`."""
    check_out(out, force=force, kind=kind)
    out = _real(out)
    with folder_put_at(out, partial(_refuse_existing, out, force=force, kind=kind)) as part:
        yield part


def check_out(out: Path, *, force: bool, kind: Kind, reads: Sequence[str] = ()) -> None:
    """Before any work: raise OutputError where `out` cannot be written, or holds anything but, with `force`, an earlier
    result of the same kind and nothing beside it; or where it holds what is to be read (`reads`: files, folders, globs,
    as a user names them)."""
    _refuse_existing(out, force=force, kind=kind)
    if (real := _real(out)).is_mount():
        raise OutputError(f"{out} is a mount point, which cannot be replaced as a whole; choose a folder in it")
    if real.exists():
        held = next((name for name, place in named(reads) if real in (place, *place.parents)), None)
        if held is not None:
            raise OutputError(f"{out} would be replaced, and holds {held}, which is to be read; choose another --out")
    refuse_unwritable(real, out)


def _real(out: Path) -> Path:
    return out.expanduser().resolve()


def _refuse_existing(out: Path, *, force: bool, kind: Kind) -> None:
    real = _real(out)
    if not real.exists() or (real.is_dir() and not any(real.iterdir())):
        return
    if not _is_result(real, kind):
        raise OutputError(f"{out} exists and is no earlier {kind}, or holds more than that; choose another --out")
    if not force:
        raise OutputError(f"{out} exists; choose another --out, or replace it with --force")


def _is_result(folder: Path, kind: Kind) -> bool:
    """Whether a folder holds what this program wrote there, a result of this kind, and nothing else."""
    try:
        manifest = orjson.loads((folder / "manifest.json").read_bytes())
        ours = "select2reason" in manifest["versions"] and _kind(manifest) == kind
        known = {name.partition("/")[0] for name in manifest["outputs"]} | {"manifest.json"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return ours and {path.name for path in folder.iterdir()} <= known


def _kind(manifest: Mapping[str, Any]) -> str:
    """What a manifest is of; those of the first days did not say so."""
    early = "analysis" if "study.json" in manifest["outputs"] else "selection"
    return str(manifest.get("kind", early if "pool" in manifest else ""))


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, by its path within, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor(min(_READERS, cores())) as threads:
        digests = threads.map(file_digest, files)
        return {path.relative_to(folder).as_posix(): digest for path, digest in zip(files, digests, strict=True)}
