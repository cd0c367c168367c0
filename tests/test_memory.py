"""Memory in use, and what lies free in it."""

import numpy as np
import pyarrow as pa
import pytest

from select2reason import memory


def test_what_is_touched_is_in_use() -> None:
    before = memory.in_use()
    held = np.ones(64 << 20, np.uint8)
    assert memory.in_use() - before > 48 << 20
    assert held.all()


@pytest.mark.parametrize(("in_use", "given_back"), [(0, True), (1, False), (100, False), (101, True)])
def test_it_is_given_back_where_much_is_in_use_or_nobody_knows(
    in_use: int, given_back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pool:
        released = False

        def release_unused(self) -> None:
            self.released = True

    pool = Pool()
    monkeypatch.setattr(memory, "in_use", lambda: in_use)
    monkeypatch.setattr(pa, "default_memory_pool", lambda: pool)
    memory.give_back(100)
    assert pool.released == given_back
