"""What tests share: where the real data is, and small pools made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import orjson
import pytest

from .real_selection import real as real  # a fixture for all

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """The folder of real data beside the project; the test is skipped where it is missing."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared with real data, which is not here")
    return SHARED


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache of pools and scores."""
    monkeypatch.setenv("SELECT2REASON_CACHE", str(tmp_path / "cache"))


class WriteRows(Protocol):
    """Writes rows as JSON Lines; gives the file."""

    def __call__(self, rows: Sequence[object], name: str = "pool.jsonl") -> Path: ...


@pytest.fixture
def write_rows(tmp_path: Path) -> WriteRows:
    """Write rows as JSON Lines and give the file."""

    def write(rows: Sequence[object], name: str = "pool.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        return path

    return write
