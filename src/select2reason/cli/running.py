"""Running the program: exit codes, one line for an error, what an interruption leaves, and memory that stays flat."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from select2reason.errors import RunError, Select2ReasonError, UsageError

_KEPT = "what was finished is kept"


class _InterruptedError(BaseException):
    """SIGINT or SIGTERM; typer would end on a KeyboardInterrupt without a word."""


def run(app: Callable[[], None]) -> None:
    """Run the command line; errors on purpose are one line, and the exit code says whose turn it is."""
    from select2reason.progress import fail

    _keep_memory_flat()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
    except Select2ReasonError as error:
        fail(error)
        raise SystemExit(2 if isinstance(error, UsageError) else 1) from None
    except OSError as error:
        fail(RunError(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}; {_fix_of(error)}"))
        raise SystemExit(1) from None
    except MemoryError:
        fail(RunError(f"out of memory; give it more, or less to read at once, and run it again: {_KEPT}"))
        raise SystemExit(1) from None
    except Exception as error:
        if not type(error).__module__.startswith(("polars", "pyarrow")):
            raise
        fail(RunError(f"{str(error).partition(chr(10))[0]}; mend it and run the same command again"))
        raise SystemExit(1) from None
    except _InterruptedError:
        fail(RunError(f"interrupted; run the same command again: {_KEPT}"))
        sys.stdout.flush()
        _end_children()
        os._exit(130)  # all is put away; a thread that was just being started would never be told to end
    finally:
        gc.freeze()  # spares the interpreter its last search for cycles, 0.2 s


def _end_children() -> None:
    """Of engines and graders: nobody else would tell them."""
    if "multiprocessing" in sys.modules:
        import multiprocessing

        for child in multiprocessing.active_children():
            child.kill()


def _interrupt(*_: object) -> None:
    raise _InterruptedError


def _keep_memory_flat() -> None:
    """One malloc arena, for Arrow too, and two of Polars' jemalloc: with one per thread, memory freed by one thread is
    not used by the next. Free memory is given back after each shard, not page by page all along; and Python's search
    for cycles, of which columns make none, looks at fewer objects less often."""
    import ctypes

    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("_RJEM_MALLOC_CONF", "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:1000")
    gc.set_threshold(50_000, 20, 100)

    most_arenas, trim_threshold, mmap_threshold = -8, -1, -3  # of glibc's malloc.h
    with suppress(AttributeError, OSError):  # no glibc: its allocator is another one
        malloc = ctypes.CDLL(None).mallopt
        malloc(most_arenas, 1)
        malloc(trim_threshold, 512 << 20)
        malloc(mmap_threshold, 32 << 20)


def _fix_of(error: OSError) -> str:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"free some space and run the same command again: {_KEPT}"
    return f"mend it and run the same command again: {_KEPT}"
