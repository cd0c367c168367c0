"""The memory that this process has in use, and giving back what lies free in it."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa

_MUCH = 512 << 20


def in_use() -> int:
    """Bytes of memory of its own that this process has in use, mapped files aside; 0 where the system does not tell."""
    try:
        resident, shared = Path("/proc/self/statm").read_bytes().split()[1:3]
    except OSError:
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def give_back(beyond: int = _MUCH) -> None:
    """Give back what lies free between the pieces in use, which else grows with the pool. Where no more than `beyond`
    is in use, in bytes, all of it is kept: to get it back takes longer than to have it."""
    if not 0 < in_use() <= beyond:
        pa.default_memory_pool().release_unused()
