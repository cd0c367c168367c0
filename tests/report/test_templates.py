"""Compiled templates are kept, used again, and never in the way."""

from collections.abc import Callable, Iterator
from pathlib import Path

import jinja2
import polars as pl
import pytest

from select2reason.report import analysis_page, templates

Draw = Callable[[], str]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(templates, "_KEPT", tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    templates.page_template.cache_clear()
    yield tmp_path
    templates.page_template.cache_clear()


@pytest.fixture
def drawn(make_scores: Callable[..., pl.DataFrame]) -> Callable[[], str]:
    """Draws a page as a process does that has drawn none yet."""

    def draw() -> str:
        templates.page_template.cache_clear()
        return analysis_page(make_scores(200), manifest={})

    return draw


def refuse(*_: object) -> None:
    raise AssertionError("compiled")


def test_a_template_is_compiled_once(kept: Path, drawn: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    page = drawn()
    assert len([*kept.iterdir()]) > 3
    monkeypatch.setattr(jinja2.Environment, "_compile", refuse)
    assert drawn() == page


def test_nothing_is_kept_where_python_keeps_nothing(kept: Path, drawn: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    assert drawn()
    assert not [*kept.iterdir()]


def test_what_is_damaged_is_compiled_anew(kept: Path, drawn: Draw) -> None:
    page = drawn()
    files = sorted(kept.iterdir())
    for number, file in enumerate(files):
        held = file.read_bytes()
        file.write_bytes([b"", held[: len(held) // 2], b"\0" * 200][number % 3])
    assert drawn() == page


def test_a_full_disk_does_not_stop_the_page(kept: Path, drawn: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    page = drawn()
    for file in kept.iterdir():
        file.unlink()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jinja2.bccache.tempfile.NamedTemporaryFile", full)
    assert drawn() == page
    assert not [*kept.iterdir()]
