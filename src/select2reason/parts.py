"""What is made beside its place and put there when it is whole: a kill at any moment leaves nothing half there.

Whoever makes something holds a lock on its part. A part that nobody holds was left by a process that was killed, and
the next one that makes the same removes it. Another machine's parts, and those on a disk without locks, are left alone.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import itertools
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from select2reason.errors import OutputError

_ENDING = ".part"
_NUMBERS = itertools.count()  # no name comes twice in a process: a thread that outlived its part does not find another


@contextmanager
def part_folder(place: Path) -> Iterator[Path]:
    """An empty folder beside `place`, to be filled and renamed; gone in the end, and what was killed here before."""
    with _part(place, lambda part: part.mkdir(parents=True)) as part:
        yield part


@contextmanager
def part_file(place: Path) -> Iterator[Path]:
    """The same for a file, which is empty."""
    with _part(place, lambda part: part.touch(exist_ok=False)) as part:
        yield part


@contextmanager
def _part(place: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    _sweep(place)
    part, held = _new(place, make)
    try:
        yield part
    finally:
        _remove(part)
        os.close(held)
        _sweep(place)


def is_being_made(part: Path) -> bool:
    """Whether a process of this machine is at work on a part; false of what is whole."""
    if not part.name.endswith(_ENDING):
        return False
    try:
        held = os.open(part, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(held)
    return False


def hidden(place: Path) -> Path:
    """The place whose parts nobody sees: for what is put where its user looks."""
    return place.with_name(f".{place.name}")


def refuse_unwritable(place: Path, out: Path) -> None:
    """Before any work: raise OutputError where nothing can be put at a place, which its user calls `out`."""
    try:
        with part_folder(hidden(place)):
            pass
    except OSError as error:
        raise OutputError(f"cannot write to {out.parent} ({error.strerror}); choose another --out") from error


@contextmanager
def folder_put_at(out: Path, refuse: Callable[[], None]) -> Iterator[Path]:
    """A folder to be filled, put at `out` when the block ends well. What stands there by then is replaced, unless
    `refuse` raises: in one step; where a disk cannot do that, it is set aside first and, should the renaming fail, put
    back."""
    with part_folder(hidden(out)) as part:
        yield part
        while not _renamed(part, out):  # something is there, and may have come there meanwhile
            refuse()
            if exchanged(part, out):
                return
            with part_folder(hidden(out)) as aside, suppress(FileNotFoundError):
                old = out.rename(aside / "old")
                try:
                    if _renamed(part, out):
                        return
                except BaseException:
                    old.rename(out)
                    raise


def _renamed(part: Path, out: Path) -> bool:
    """Whether `part` could take the place of nothing, or of an empty folder."""
    try:
        part.rename(out)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        return False
    return True


def exchanged(part: Path, place: Path) -> bool:
    """Whether two paths could change places, so that at no moment there is nothing at either: not every system and disk
    can do it."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE, of Linux
    return bool(rename(here, os.fsencode(part.absolute()), here, os.fsencode(place.absolute()), exchange) == 0)


def _new(place: Path, make: Callable[[Path], None]) -> tuple[Path, int]:
    """A part of a name of its own, and the open file that holds its lock."""
    for number in _NUMBERS:
        part = place.with_name(f"{_stem(place)}.{os.getpid()}.{number}{_ENDING}")
        try:
            make(part)
        except FileExistsError:  # of a thread, or of a process of the same number that was killed
            continue
        try:
            held = os.open(part, os.O_RDONLY)
        except FileNotFoundError:  # swept in this very moment, as below
            continue
        if _is_held(part, held):
            return part, held
        os.close(held)
    raise AssertionError("counting ends never")


def _is_held(part: Path, held: int) -> bool:
    """Lock it; false where it is being swept, or was."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without locks: it will not be swept, either
        return True
    return part.exists() and os.path.samestat(part.stat(), os.fstat(held))


def _sweep(place: Path) -> None:
    """Remove the parts of this machine that nobody holds."""
    for part in place.parent.glob(f"{glob.escape(_stem(place))}.*{_ENDING}"):
        with suppress(OSError):
            held = os.open(part, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(part)
            finally:
                os.close(held)


def _stem(place: Path) -> str:
    return f"{place.name}.{platform.node()}"


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)
