"""A process that reads one damaged pool after another and says of each what came of it; it may die of one.

Asked a line of JSON (`argv`: a command line; or `pool`: files to be made a canonical pool), it answers one: `code` (the
exit code), `told` (what went to standard error), `crashed` (an exception that nobody mapped), `counts`, `lines` (the
program's own lines that ran and had not before), `peak_bytes` (of the process so far), `time_s`.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import shutil
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

MOST_ADDRESSES = 6 << 30  # of memory that may be asked for: what is beyond is an error and not the machine's end
_SEEN: set[tuple[str, int]] = set()


def main(watched: bool) -> None:
    """Answer until there is nothing more to be read."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    answers = sys.stdout
    for line in sys.stdin:
        asked = json.loads(line)
        before, begun = len(_SEEN), time.monotonic()
        answer = _tried(asked, watched)
        answer |= {"lines": len(_SEEN) - before, "time_s": time.monotonic() - begun}
        answer["peak_bytes"] = _peak_bytes()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _peak_bytes() -> int:
    """The most memory of this program: what getrusage tells counts the process in that was copied to start it."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def _tried(asked: dict[str, Any], watched: bool) -> dict[str, Any]:
    """The exit code, what was told, and what nobody caught: the law is that there is no such thing."""
    out, told = io.StringIO(), io.StringIO()
    answer: dict[str, Any] = {"code": 0, "crashed": "", "counts": None}
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told), _watching(watched):
        try:
            answer["counts"] = _pool(**asked["pool"]) if "pool" in asked else _command(asked["argv"])
        except SystemExit as left:
            answer["code"] = left.code or 0
        except BaseException:  # noqa: BLE001 -- a panic of Rust is no Exception, and this process is there to see it
            answer["crashed"] = traceback.format_exc()
    return answer | {"told": told.getvalue(), "out": out.getvalue()}


def _command(argv: list[str]) -> dict[str, int]:
    from select2reason.cli import main as run

    sys.argv = ["select2reason", *argv]
    run()
    return {}


def _pool(files: list[str], cache: str) -> dict[str, int]:
    """The canonical pool of these files under the program's own way to end, and its rows counted anew."""
    from select2reason.cli.running import run
    from tests.reading import added_up, pool_of

    found: dict[str, int] = {}

    def read() -> None:
        pool = pool_of(*files, cache_dir=Path(cache))
        found.update(read=sum(part.rows for part in pool.parts), bad=pool.bad_rows, examples=pool.rows)
        found.update(added_up=added_up(pool))

    try:
        run(read)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    return found


@contextlib.contextmanager
def _watching(watched: bool) -> Any:
    """Note each line of the readers that runs, where that is wanted: it is slow."""
    if watched:
        threading.settrace(_seen)
        sys.settrace(_seen)
    try:
        yield
    finally:
        sys.settrace(None)
        threading.settrace(None)


def _seen(frame: FrameType, event: str, _: object) -> Any:
    name = frame.f_code.co_filename
    if "/select2reason/" not in name:
        return None
    _SEEN.add((name, frame.f_lineno))
    return _seen


if __name__ == "__main__":
    main(watched="watched" in sys.argv[1:])
