"""The worker process: one pair a line on standard input, one verdict a line on standard output, until the input ends.

A verdict is "true", "false" or "null", with "retire" behind it where the process has grown too large to go on. The
parent kills a worker that overruns; the alarm here ends nearly every overrun sooner, without the price of a new one.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys
from types import FrameType

from select2reason.grading.symbolic import compare

_GROWTH_BYTES = 100 << 20  # caches of SymPy and of the LaTeX parser; beyond them a fresh process is cheaper


class OutOfTimeError(BaseException):
    """Not an Exception: SymPy and Math-Verify swallow those."""


def main() -> None:
    """Serve until standard input ends. Arguments: time limit in seconds, memory limit in bytes."""
    timeout_s, memory_bytes = float(sys.argv[1]), int(sys.argv[2])
    logging.disable(logging.CRITICAL)  # Math-Verify logs what it cannot read; the verdict says it here
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends its workers
    signal.signal(signal.SIGALRM, _out_of_time)
    start = _peak_bytes()
    _limit_memory(start + memory_bytes)
    _reply("ready")
    for line in sys.stdin.buffer:
        verdict = _judge(line, timeout_s)
        peak = _peak_bytes() - start
        enough = memory_bytes // 2
        if peak > enough:  # SymPy may have swallowed a MemoryError on the way to its answer
            verdict = None
        _reply(json.dumps(verdict) + (" retire" if peak > min(_GROWTH_BYTES, enough) else ""))


def _judge(line: bytes, timeout_s: float) -> bool | None:
    given, gold, given_raw, gold_raw = json.loads(line)
    signal.setitimer(
        signal.ITIMER_PROF, 2 * timeout_s + 1
    )  # its default action ends a process stuck in C, parent or not
    try:
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        return compare(given, gold, given_raw=given_raw, gold_raw=gold_raw)
    except (OutOfTimeError, ArithmeticError, AttributeError, LookupError, NotImplementedError):
        return None
    except (MemoryError, RecursionError, TypeError, ValueError):
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _out_of_time(signum: int, frame: FrameType | None) -> None:
    raise OutOfTimeError


def _limit_memory(limit_bytes: int) -> None:
    """Cap the address space, which is larger than what is in use: libraries map files and stacks."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = limit_bytes + (1 << 30)
    if sys.platform == "linux" and (hard == resource.RLIM_INFINITY or wanted < hard):
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _reply(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
