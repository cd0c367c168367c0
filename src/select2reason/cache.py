"""Work that can be used again, keyed by content: canonical pools and score shards.

CACHE/files.json                     content digests of source files, by path, size and time
CACHE/pools/KEY/                     canonical shards (pool.py)
CACHE/pools/KEY/scores/NAME-KEY/     score shards of one scorer (scoring/)
CACHE/questions/KEY/                 distinct questions, in the same form (questions.py)

CACHE is --cache-dir, or SELECT2REASON_CACHE, or the user's cache folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Thread

import orjson
from platformdirs import user_cache_path

from select2reason.errors import OutputError, PoolError
from select2reason.files import file_digest
from select2reason.parts import is_being_made, part_file

_OWN_NAME = re.compile(r"[0-9a-f]{16}(\..*\.part)?$")  # a pool's key, also of one whose building was killed
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class CachedPool:
    """One pool in the cache: its folder, its rows (null: never finished), the day on which it was last added to, its
    size with all scores, and the scorers whose work is kept."""

    path: Path
    rows: int | None
    day: str
    size_bytes: int
    scores: tuple[str, ...]


def cache_root(folder: Path | None = None) -> Path:
    """The cache folder, made if need be. Raises OutputError where that cannot be done."""
    root = _root(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the cache folder {root} ({error.strerror}); name another with --cache-dir"
        ) from error
    return root


def refuse_unwritable(root: Path) -> None:
    """Raise OutputError where the cache cannot be written to. One that holds all that is asked for need not be."""
    try:
        with part_file(root / ".written"):
            pass
    except OSError as error:
        told = f"cannot write to the cache folder {root} ({error.strerror})"
        raise OutputError(f"{told}; mend its rights, or name another with --cache-dir") from error


def _root(folder: Path | None) -> Path:
    chosen = folder or os.environ.get("SELECT2REASON_CACHE") or user_cache_path("select2reason", appauthor=False)
    return Path(chosen).expanduser()


def clearing(folder: Path) -> str:
    """The command that clears the cache which this folder is in."""
    root = next((one.parent for one in folder.parents if one.name in ("pools", "questions")), None)
    elsewhere = root is not None and root.absolute() != _root(None).absolute()
    return shlex.join(["select2reason", "cache", "--clear", *(["--cache-dir", str(root)] if elsewhere else [])])


def key_of(*parts: object) -> str:
    """A short stable name for anything that JSON can hold."""
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()[:16]


def begin_digests(folder: Path | None, names: Sequence[str | Path]) -> bool:
    """Begin to read those of these that are files, and new, on a thread of its own; whether any is new.

    `content_digests` waits for those that it asks for.
    """
    known = _known(_root(folder) / "files.json")
    any_new, begun = False, list[tuple[Path, Future[str]]]()
    for name in names:
        with suppress(OSError, RuntimeError, ValueError):  # what is wrong with a name is told where it is looked for
            file = Path(name).expanduser()
            if file.is_file() and (mark := _mark(file)) not in known:
                any_new = True
                if mark not in _begun:
                    _begun[mark] = Future()
                    begun.append((file, _begun[mark]))
    if begun:
        Thread(target=_finish, args=(begun,), daemon=True).start()
    return any_new


_begun: dict[str, Future[str]] = {}


def _finish(files: Sequence[tuple[Path, Future[str]]]) -> None:
    for file, digest in files:
        try:
            digest.set_result(file_digest(file))
        except OSError as error:
            digest.set_exception(error)


def content_digests(root: Path, files: Sequence[Path]) -> list[str]:
    """SHA-256 of each file; one whose path, size, times and inode are as before is not read again."""
    book = root / "files.json"
    known = _known(book)
    marks = [_mark(file) for file in files]
    if new := not known.keys() >= {*marks}:
        refuse_unwritable(root)
    for file, mark in zip(files, marks, strict=True):
        if mark not in known:
            known[mark] = _digest(file, mark)
    if new:
        _replace(book, orjson.dumps(known))
    return [known[mark] for mark in marks]


def _known(book: Path) -> dict[str, str]:
    """The digests that are written down, by the marks of their files."""
    try:
        held = orjson.loads(book.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return {k: v for k, v in held.items() if _SHA256.fullmatch(str(v))} if isinstance(held, dict) else {}


def _mark(file: Path) -> str:
    """What is another one once the file is."""
    stat = file.stat()
    return f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}|{stat.st_ino}"


def _digest(file: Path, mark: str) -> str:
    begun = _begun.pop(mark, None)
    try:
        return begun.result() if begun else file_digest(file)
    except PermissionError as error:
        raise PoolError(f"no permission to read {file}; check its rights") from error


def _replace(path: Path, content: bytes) -> None:
    with part_file(path) as part:
        part.write_bytes(content)
        part.replace(path)


def list_pools(root: Path) -> list[CachedPool]:
    """Every pool in the cache, by name; then the lists of distinct questions, which are pools too."""
    found = [*sorted((root / "pools").glob("*")), *sorted((root / "questions").glob("*"))]
    folders = [p for p in found if p.is_dir() and _OWN_NAME.match(p.name)]
    return [_cached(folder) for folder in folders]


def _cached(pool: Path) -> CachedPool:
    scores = sorted(pool.glob("scores/*"))
    times = [0.0]
    for folder in (pool, *scores):
        with suppress(OSError):  # gone meanwhile
            times.append(folder.stat().st_mtime)
    try:
        rows = orjson.loads((pool / "pool.json").read_bytes())["rows"]
    except (OSError, ValueError, KeyError, TypeError):
        rows = None
    day = date.fromtimestamp(max(times)).isoformat()
    return CachedPool(pool, rows, day, _size(pool), tuple(folder.name for folder in scores))


@dataclass(frozen=True, slots=True)
class Cleared:
    """The bytes that were freed, and the pools that are being made by another process and were left."""

    freed_bytes: int
    in_use: int


def clear(root: Path) -> Cleared:
    """Remove the pools and their scores, and nothing that is not the cache's own, nor a pool that is being made.

    Raises OutputError where something cannot be removed.
    """
    freed = in_use = 0
    try:
        for pool in list_pools(root):
            if is_being_made(pool.path):
                in_use += 1
                continue
            with suppress(FileNotFoundError):  # another one clears it
                if pool.path.is_symlink():
                    pool.path.unlink()
                else:
                    shutil.rmtree(pool.path)
                freed += pool.size_bytes
        (root / "files.json").unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot clear {root} ({error.strerror}: {error.filename}); mend its rights") from error
    return Cleared(freed, in_use)


def _size(folder: Path) -> int:
    size = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a build under way renames its own
            size += file.stat().st_size if file.is_file() else 0
    return size
