"""Running the program: exit codes, one line for an error, and memory that stays flat."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable
from contextlib import suppress

from select2reason.cli import interrupts
from select2reason.cli.interrupts import KEPT
from select2reason.errors import RunError, Select2ReasonError, UsageError, in_a_line


def run(app: Callable[[], None]) -> None:
    """Run the command line; errors on purpose are one line, and the exit code says whose turn it is."""
    _keep_memory_flat()
    try:
        interrupts.hear()
        app()
    except BaseException as error:
        if interrupts.ended_by(error):
            interrupts.leave()
        _end(error)
        raise
    finally:
        gc.freeze()  # spares the interpreter its last search for cycles, 0.2 s


def _end(error: BaseException) -> None:
    """Tell an error that the user can mend; what is a defect here is for the caller to raise."""
    from select2reason.progress import fail

    if told := _told(error):
        fail(told)
        raise SystemExit(2 if isinstance(told, UsageError) else 1) from None


def _told(error: BaseException) -> Select2ReasonError | None:
    """What the user is told; None of a defect."""
    said = in_a_line(error)
    if isinstance(error, Select2ReasonError):
        return error
    if isinstance(error, FileNotFoundError) and not error.filename:
        return UsageError("the current folder is gone; change to one that is there")
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return RunError(
            f"{error.strerror or error}{where}; {_fix_of(error.errno)} and run the same command again: {KEPT}"
        )
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and "failed to map segment" in said):
        return RunError(f"out of memory; give it more, or less to read at once, and run it again: {KEPT}")
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return UsageError(f"a path that is named is no UTF-8 ({os.fsencode(error.object)!r:.80}); choose another")
    if isinstance(error, RuntimeError) and "home dir" in said:
        return UsageError(
            "it is not known where the home folder is; set HOME, or name folders without ~ and --cache-dir"
        )
    if isinstance(error, RuntimeError) and "Symlink loop" in said:
        return UsageError(f"{error}; choose another path")
    if "thread" in said and (isinstance(error, RuntimeError) or type(error).__name__ == "PanicException"):
        fix = "raise the limit of processes (ulimit -u), or set POLARS_MAX_THREADS to a number from 1 on"
        return RunError(f"a thread could not be started ({said}); {fix}")
    if isinstance(error, Exception) and type(error).__module__.startswith(("polars", "pyarrow")):
        full = os.strerror(errno.ENOSPC) in said
        return RunError(f"{said}; {_fix_of(errno.ENOSPC if full else None)} and run the same command again")
    return None


def _keep_memory_flat() -> None:
    """One malloc arena, for Arrow too, and two of Polars' jemalloc: with one per thread, memory freed by one thread is
    not used by the next. What is free is kept for the next seconds, and given back once much is in use (memory.py): a
    virtual machine's host may have taken it, and is slow to bring it again. And Python's search for cycles, of which
    columns make none, looks at fewer objects less often."""
    import ctypes

    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # its threads sleep while there is nothing for them: 0.1 s
    os.environ.setdefault("_RJEM_MALLOC_CONF", "narenas:2,dirty_decay_ms:10000,muzzy_decay_ms:10000")
    gc.set_threshold(200_000, 20, 100)

    most_arenas, trim_threshold, mmap_threshold = -8, -1, -3  # of glibc's malloc.h
    with suppress(AttributeError, OSError):  # no glibc: its allocator is another one
        malloc = ctypes.CDLL(None).mallopt
        malloc(most_arenas, 1)
        malloc(trim_threshold, 512 << 20)
        malloc(mmap_threshold, 32 << 20)


def _fix_of(number: int | None) -> str:
    """What the user may do about an error of the system's."""
    fixes = {
        errno.ENOSPC: "free some space",
        errno.EDQUOT: "free some space",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
        errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
        errno.ENAMETOOLONG: "choose a shorter name",
    }
    return fixes.get(number or 0, "mend it")
