"""The exception tree. Every message is one line and names the fix.

Select2ReasonError
├── UsageError        the caller can mend it: wrong options, wrong or missing input (exit code 2)
│   ├── PoolError         the pool cannot be found, read or understood
│   │   └── AmbiguousLayoutError   several columns could be meant; the message holds the line that settles it
│   └── OutputError       the output folder exists, cannot be written, or is in use
└── RunError          it failed while running: disk full, a damaged cache (exit code 1)
"""


class Select2ReasonError(Exception):
    """Root of all errors raised on purpose by this package."""


class UsageError(Select2ReasonError):
    """Wrong options or wrong input; nothing was written."""


class PoolError(UsageError):
    """The pool cannot be found, read or understood."""


class AmbiguousLayoutError(PoolError):
    """More than one reading of the columns is possible; nothing was guessed."""


class OutputError(UsageError):
    """The output folder cannot be used as asked."""


class RunError(Select2ReasonError):
    """The work failed while running; what was finished is kept in the cache."""


def first_line(error: BaseException) -> str:
    """What a library's error says first, or the error's name where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def in_a_line(error: BaseException, most: int = 200) -> str:
    """What a library's error says, on one line and cut short: "" where it says nothing."""
    return " ".join(str(error).split())[:most]
