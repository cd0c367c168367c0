"""Which checkpoint a training goes on from: one that was written to its end, whatever a kill left beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from select2reason.backends import sft


def checkpoint(folder: Path, step: int, *, whole: bool) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "optimizer.pt").write_text("state")
    if whole:
        (path / "whole").touch()
    return path


def test_the_latest_whole_one_counts(tmp_path: Path) -> None:
    assert sft.last_whole(tmp_path) is None
    for step, whole in ((9, True), (10, True), (11, False)):
        checkpoint(tmp_path, step, whole=whole)
    assert sft.last_whole(tmp_path) == (tmp_path / "checkpoint-10", 10)


def test_older_ones_go_when_the_new_one_is_marked(tmp_path: Path) -> None:
    for step, whole in ((5, True), (9, False), (10, True), (15, False)):
        checkpoint(tmp_path, step, whole=whole)
    sft._mark(tmp_path, 15, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-15"]
    assert sft.last_whole(tmp_path) == (tmp_path / "checkpoint-15", 15)


def test_a_kill_while_an_older_one_is_removed_leaves_none_that_is_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step, whole in ((5, True), (10, False)):
        checkpoint(tmp_path, step, whole=whole)

    def killed(path: Path, **_: object) -> None:
        assert not (path / "whole").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        sft._mark(tmp_path, 10, keep=1)
    assert (tmp_path / "checkpoint-5" / "optimizer.pt").exists()
    assert sft.last_whole(tmp_path) == (tmp_path / "checkpoint-10", 10)
