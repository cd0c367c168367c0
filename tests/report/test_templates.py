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
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    templates.page_template.cache_clear()
    yield tmp_path / "select2reason" / "templates"
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
    assert not kept.exists()


def test_what_is_damaged_is_compiled_anew(kept: Path, drawn: Draw) -> None:
    page = drawn()
    whole = {file: file.read_bytes() for file in kept.iterdir()}
    for length in (0, 10, 40, 60, 120, 500):
        for file, held in whole.items():
            file.write_bytes(held[:length])
        assert drawn() == page
    for file, held in whole.items():
        file.write_bytes(held[:-9] + bytes([held[-9] ^ 1]) + held[-8:])
    assert drawn() == page
    assert {file: file.read_bytes() for file in kept.iterdir()} == whole


def test_a_template_of_other_makers_is_compiled_anew(kept: Path, drawn: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn()
    monkeypatch.setattr(templates, "version", lambda name: "0")
    monkeypatch.setattr(jinja2.Environment, "_compile", refuse)
    with pytest.raises(AssertionError, match="compiled"):
        drawn()


def test_a_full_disk_does_not_stop_the_page(kept: Path, drawn: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert drawn()
    assert not [*kept.iterdir()]


def test_a_folder_that_cannot_be_made_does_not_stop_it(kept: Path, drawn: Draw) -> None:
    kept.parents[1].joinpath("select2reason").write_text("a file")
    assert drawn()
