"""The files of a pool: JSON Lines or a JSON array (also .gz and .zst), Parquet, Arrow; a file, a folder or a glob.

How they are read is for readers.py, what their columns mean for layouts.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from difflib import get_close_matches
from glob import glob, has_magic
from pathlib import Path
from typing import Literal

import orjson

from select2reason.errors import PoolError
from select2reason.progress import say

Kind = Literal["jsonl", "parquet", "arrow"]
_KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
_PACKED = {".gz", ".zst"}
_PACKING = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # what packed files begin with, whatever their names
_SPLITS = {"train", "test", "validation", "valid", "dev"}
_NOT_DATA = {
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
    "manifest.json",
    "config.json",
}
_ASIDE = (".", "cache-")  # what hidden files and caches of `datasets` begin with
_OWN = {"scores.parquet", "quarantine.jsonl"}  # what a selection's folder holds beside its data


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a pool; `label` is how its user named it."""

    path: Path
    label: str
    kind: Kind


def find_files(pool: str, *, split: str | None = None, every_kind: bool = False) -> list[SourceFile]:
    """The files that POOL names, in a stable order: a file, a folder, or a glob. Raises PoolError where none is.

    Of a folder the files of one kind are taken, for the others mostly are about them, and that is said; with
    `every_kind` all are.
    """
    if not pool.strip():
        raise PoolError("the pool's name is empty; give a file, a folder, a glob or a Hub dataset id")
    try:
        return _found(pool, split, every_kind)
    except PermissionError as error:
        raise PoolError(f"no permission to read {error.filename or pool}; check its rights") from error
    except (OSError, RuntimeError) as error:  # a name too long, no such user's home
        raise PoolError(f"cannot look for {pool[:200]} ({error}); give a file, a folder or a glob") from error


def _found(pool: str, split: str | None, every_kind: bool) -> list[SourceFile]:
    path = Path(pool).expanduser()
    if split and not path.is_dir() and (path.is_file() or has_magic(pool)):
        say(f"--split is for folders and the Hub: {pool} is read whole")
    if path.is_file():
        return [_source(path)]
    if path.is_dir():
        return [_source(file) for file in _in_folder(path, split, every_kind)]
    if has_magic(pool):
        names = sorted(glob(str(path), recursive=True))  # noqa: PTH207 -- Path.glob takes no absolute pattern
        found = [file for file in map(Path, names) if not file.is_dir() and _may_be_data(file)]
        _refuse_odd(found)
        if found:
            return [_source(file) for file in found]
    _refuse_odd([path])
    raise PoolError(f"no such file, folder or glob: {pool}{_nearest(path)}")


def _refuse_odd(paths: Sequence[Path]) -> None:
    """Raise PoolError for what is there, but is no file."""
    for path in (path for path in paths if not path.is_file()):
        if path.exists():
            raise PoolError(f"{path} is a pipe or a device; write what it gives into a file, and give that")
        if path.is_symlink():
            raise PoolError(f"{path} is a link that leads nowhere; mend it, or give the file itself")


def _may_be_data(file: Path) -> bool:
    """A glob may take files without any extension, which then have to show what they are."""
    return file.name not in _NOT_DATA | _OWN and (kind_of(file) is not None or not file.suffix)


def _nearest(path: Path) -> str:
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / close[0]}?" if close else ""


def _in_folder(folder: Path, split: str | None, every_kind: bool) -> list[Path]:
    named = [p for p in _every_path(folder) if kind_of(p) and p.name not in _NOT_DATA | _OWN]
    within = {parent for path in named for parent in path.relative_to(folder).parents if parent != Path()}
    results = {parent for parent in within if _is_result(folder / parent)}
    files = [p for p in named if not p.is_dir() and not _is_aside(p.relative_to(folder), results)]
    _refuse_odd(files)
    if not files:
        raise PoolError(f"{folder} holds no JSONL, JSON, Parquet or Arrow file; give a folder that does")
    kinds = [kind for kind in ("parquet", "arrow", "jsonl") if any(kind_of(p) == kind for p in files)]
    taken = files if every_kind else [p for p in files if kind_of(p) == kinds[0]]
    if others := sorted({*files}.difference(taken)):
        told = f"{kinds[0]}: {len(taken)} of {len(files)} files in {folder} are read"
        say(f"{told}; not {others[0].name}, for example: name it, or use a glob, to read it too")
    return _of_split(folder, taken, split)


def _every_path(folder: Path) -> list[Path]:
    """All that stands in a folder and in those within it; links to folders are not followed, which is said. A folder
    that may not be read raises PermissionError: what it holds must not be missing without a word."""

    def refuse(error: OSError) -> None:
        raise error

    found: list[Path] = []
    links: list[Path] = []
    for at, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(_ASIDE)]
        links += [path for name in folders if (path := Path(at, name)).is_symlink()]
        found += [Path(at, name) for name in names]
    if links:
        say(f"not followed: {min(links)}{' and others' * (len(links) > 1)}, a link to a folder; name it to read it too")
    return sorted(found)


def _is_aside(path: Path, results: AbstractSet[Path]) -> bool:
    """Hidden files, caches of `datasets`, and earlier results inside the folder, which are never its pool."""
    return any(part.startswith(_ASIDE) for part in path.parts) or not results.isdisjoint(path.parents)


def _is_result(folder: Path) -> bool:
    """Whether a folder says that this program made it: a selection, or one handed to a trainer."""
    file = folder / "manifest.json"
    try:
        return file.is_file() and "select2reason" in orjson.loads(file.read_bytes())["versions"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return False


def _of_split(folder: Path, files: list[Path], split: str | None) -> list[Path]:
    """The files of one split: the one asked for, or `train` where there is one, as `datasets` does it; and said so."""
    own = _splits_of_dict(folder)
    names = {
        path: split_names(path.relative_to(folder)) | own.intersection(path.relative_to(folder).parts) for path in files
    }
    known = sorted(set().union(*names.values()))
    wanted = split or ("train" if "train" in known else None)
    if wanted is None and len(own) > 1:
        raise PoolError(f"{folder} has no split train; choose one of {', '.join(sorted(own))} with --split")
    chosen = [path for path in files if wanted is None or wanted in names[path]]
    if chosen and (others := sorted({*files}.difference(chosen))):
        say(f"split: {wanted}, {len(chosen)} of {len(files)} files in {folder}; not {others[0].name}, for example")
    if not chosen:
        fix = f"--split can be {', '.join(known)}" if known else "its files name no split, so leave it out"
        raise PoolError(f"{folder} has no split {split}; {fix}")
    return chosen


def _splits_of_dict(folder: Path) -> set[str]:
    """The splits of a DatasetDict, each a folder, whatever they are called."""
    file = folder / "dataset_dict.json"
    try:
        return {str(name) for name in orjson.loads(file.read_bytes())["splits"]} if file.is_file() else set()
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return set()


def split_names(path: Path) -> set[str]:
    """The split that a path like data/train-00000-of-00002.parquet or train/data-00000.arrow speaks of."""
    words = [*path.parts[:-1], re.split(r"[-.]", path.name)[0]]
    return _SPLITS.intersection(words)


def kind_of(path: Path) -> Kind | None:
    """What a file's name says of it."""
    suffixes = [suffix for suffix in path.suffixes if suffix.lower() not in _PACKED]
    return _KINDS.get(suffixes[-1].lower()) if suffixes else None


def packing_of(path: Path) -> str | None:
    """How a file is packed (gzip, zstd), by its first bytes; None where it is not."""
    with path.open("rb") as file:
        head = file.read(4)
    return next((name for magic, name in _PACKING.items() if head.startswith(magic)), None)


def _source(path: Path) -> SourceFile:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise PoolError(f"the name of {str(path)!a} is not valid text; rename the file") from None
    return SourceFile(path, str(path), kind_of(path) or _sniff(path))


def _sniff(path: Path) -> Kind:
    """What a file holds whose name does not say it."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) or packing_of(path):
        return "jsonl"
    raise PoolError(f"{path} is no JSONL, JSON, Parquet or Arrow file; give one of these (also .gz, .zst)")
