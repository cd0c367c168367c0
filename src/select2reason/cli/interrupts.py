"""SIGINT and SIGTERM: the work is put away, one line says how to go on, and within seconds the program has ended.

The first signal raises an exception, so that files and processes are put away on its way up; further ones change
nothing. It is raised again where it was swallowed (in the end of a generator Python only prints it), and what has not
ended after `_PATIENCE_S` is left as it is: whatever is written has its name only when it is whole.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

KEPT = "what was finished is kept"
CODE = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE_S = 4.0
_SWALLOWED = 0  # in the pipe, among numbers of signals
_TOLD = "interrupted; run the same command again: {}"


class InterruptedRunError(BaseException):
    """SIGINT or SIGTERM; typer would end on a KeyboardInterrupt, which Polars makes of a SIGINT, without a word."""


class _State:
    """Of the process: whether a signal came, whether it was raised, what is kept of the work, and whether somebody is
    ending the program."""

    heard = raised = False
    kept = KEPT
    leaving = threading.Lock()
    pipe = -1


def hear() -> None:
    """From now on both signals end the program, whatever it does at that moment; to be asked again changes nothing."""
    if _State.pipe >= 0:
        return
    out, _State.pipe = os.pipe()
    os.set_blocking(_State.pipe, False)
    for number in _SIGNALS:
        signal.signal(number, _raise)
    signal.set_wakeup_fd(_State.pipe, warn_on_full_buffer=False)  # told even while Python code cannot run
    sys.unraisablehook = _raise_again
    atexit.register(_hear_no_more)
    threading.Thread(target=_watch, args=(out,), name="interrupts", daemon=True).start()


def nothing_is_kept() -> None:
    """Of a command that writes all it does in the end."""
    _State.kept = "nothing was written"


def ended_by(error: BaseException) -> bool:
    """Whether the program ends for a signal, and not because its work was done by then."""
    done = isinstance(error, SystemExit) and error.code in (None, 0)
    return isinstance(error, InterruptedRunError) or (_State.heard and not done)


def leave() -> NoReturn:
    """Say how to go on, and end: all is put away, and a thread that was just being started would never be told to."""
    from select2reason.errors import RunError
    from select2reason.progress import SPOKEN_FOR, fail

    if not _State.leaving.acquire(blocking=False):
        time.sleep(_PATIENCE_S)  # the watching thread is at it
    _end_children()
    with suppress(Exception):  # either stream may be closed, or full: nothing keeps the program from its end
        if SPOKEN_FOR not in os.environ:
            fail(RunError(_TOLD.format(_State.kept)))
        sys.stdout.flush()
    os._exit(CODE)


def _leave_late() -> None:
    """The same from beside, while the main thread holds who knows what."""
    from select2reason.progress import SPOKEN_FOR

    if not _State.leaving.acquire(blocking=False):
        return
    _end_children()
    with suppress(Exception):
        if SPOKEN_FOR not in os.environ:
            shown = "\n\x1b[?25h" if sys.stderr.isatty() else ""  # a bar hides the cursor
            os.write(2, f"{shown}error: {_TOLD.format(_State.kept)}\n".encode())
    os._exit(CODE)


def _end_children() -> None:
    """Of engines and graders: nobody else would tell them."""
    if "multiprocessing" in sys.modules:
        import multiprocessing

        for child in multiprocessing.active_children():
            child.kill()


def _raise(number: int, frame: FrameType | None) -> None:
    _State.heard = True
    if not _State.raised:
        _State.raised = True
        raise InterruptedRunError


def _hear_no_more() -> None:
    """The work is done or put away, and Python is about to let a signal end it as if it were not."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _raise_again(lost: sys.UnraisableHookArgs) -> None:
    if isinstance(lost.exc_value, InterruptedRunError):
        os.write(_State.pipe, bytes([_SWALLOWED]))
    elif not _State.heard:
        sys.__unraisablehook__(lost)


def _watch(pipe: int) -> None:
    """Raise again what was swallowed, and end the program when its time is over."""
    end = None
    while select.select([pipe], [], [], None if end is None else max(0.0, end - time.monotonic()))[0]:
        number = os.read(pipe, 1)[0]
        if number == _SWALLOWED:
            time.sleep(0.01)  # out of what swallowed it
            _State.raised = False
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        elif end is None and number in _SIGNALS and signal.getsignal(number) is _raise:  # `view` has a way of its own
            end = time.monotonic() + _PATIENCE_S
    _leave_late()
