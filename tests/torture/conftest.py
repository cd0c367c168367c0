"""How often a torture test tries, and where it says what came of it.

`make torture` sets SELECT2REASON_TORTURE to a file: then every test tries as often as docs/reliability.md says, and
adds a line of JSON there; without it a test tries a few times, so that the whole suite stays short.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import orjson
import pytest

TOLD = "SELECT2REASON_TORTURE"


class Tell(Protocol):
    """Says what was tried, how often, and what was lost."""

    def __call__(self, what: str, *, tried: int, lost: int, **figures: object) -> None: ...


@pytest.fixture
def often() -> Callable[[int, int], int]:
    """Choose between the count of the test run and the long one's."""
    return lambda short, long: long if os.environ.get(TOLD) else short


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Write a line for the table of docs/reliability.md, where one is wanted."""

    def write(what: str, *, tried: int, lost: int, **figures: object) -> None:
        if path := os.environ.get(TOLD):
            line = {"what": what, "tried": tried, "lost": lost, **figures, "test": request.node.nodeid}
            with Path(path).open("ab") as file:
                file.write(orjson.dumps(line) + b"\n")

    return write
