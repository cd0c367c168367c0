"""Small files written whole or not at all, and files that are locked while a process works."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tokenize
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import glob, has_magic
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from select2reason.errors import OutputError, UsageError

ARRAY_DAMAGE = (
    *(OSError, EOFError, KeyError, MemoryError, OverflowError, SyntaxError, TypeError, ValueError),
    *(tokenize.TokenError, zipfile.BadZipFile),
)
"""What NumPy raises over a damaged file of arrays: its header is an expression of Python, which is read as one."""
_DIGESTED_BYTES = 8 << 20  # at once: between two pieces the digest may wait for other threads' Python


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Indented JSON, keys in the order given, in the place of what stood there."""
    write_whole(path, json_bytes(value))


def write_whole(path: Path, content: bytes) -> None:
    """Bytes in the place of what stood there."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def json_bytes(value: Mapping[str, object]) -> bytes:
    """What `write_json` writes."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY, default=str) + b"\n"


def named(names: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Each file or folder that a user names, by itself or by a glob, with that name; what is wrong with a name is told
    where it is looked for."""
    for name in names:
        with suppress(OSError, RuntimeError, ValueError):
            path = Path(name).expanduser()
            found = glob(str(path), recursive=True) if has_magic(name) and not path.exists() else [path]  # noqa: PTH207
            yield from [(name, Path(one).resolve()) for one in found]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest, piece = hashlib.sha256(), memoryview(bytearray(min(_DIGESTED_BYTES, path.stat().st_size + 1)))
    with path.open("rb", buffering=0) as stream:
        while size := stream.readinto(piece):
            digest.update(piece[:size])
    return digest.hexdigest()


@contextmanager
def locked_folder(folder: Path, busy: str) -> Iterator[None]:
    """Hold a folder's lock, which needs no file. Raises OutputError, saying what is `busy`, where another process holds
    it; where its disk locks no folders, nothing is held."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(held)
        raise OutputError(f"{busy} by another run; wait for it, or choose another --out") from error
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(held)


def refuse_other_format(file: Path, held: Mapping[str, Any], known: int, fix: str) -> None:
    """Raise UsageError where a file of ours is not of the format that is known: what it says may mean something else.
    The message tells who wrote it, and what to do: to upgrade where it is newer, and `fix`."""
    found = held.get("format")
    if found == known:
        return
    versions = held.get("versions")
    by = versions.get("select2reason") if isinstance(versions, Mapping) else None
    newer = "upgrade select2reason, or " if isinstance(found, int) and found > known else ""
    raise UsageError(
        f"{file} is of format {found or 'unknown'}{f', by select2reason {by}' if by else ''}; this is "
        f"{version('select2reason')}, which reads format {known}; {newer}{fix}"
    )


@contextmanager
def locked(file: Path, busy: str) -> Iterator[None]:
    """Hold a file's lock. Raises OutputError, saying what is `busy`, where another process holds it."""
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"{busy} by another process; wait for it, or end it") from error
        yield
