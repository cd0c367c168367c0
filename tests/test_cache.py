"""What is kept between runs: digests by path, size and time; pools by content."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from select2reason import cache
from select2reason.cache import Cleared
from select2reason.errors import OutputError, PoolError
from select2reason.parts import part_folder

from .conftest import WriteRows
from .runs import SAFE, question_row, run


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("one")
    expected = [hashlib.sha256(b"one").hexdigest()]
    assert cache.content_digests(tmp_path, [file]) == expected
    monkeypatch.setattr(cache, "_digest", lambda *file: pytest.fail("read again"))
    assert cache.content_digests(tmp_path, [file]) == expected


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("one")
    before = cache.content_digests(tmp_path, [file])
    file.write_text("two")
    os.utime(file, ns=(1, 1))
    assert cache.content_digests(tmp_path, [file]) != before


def test_a_torn_book_of_digests_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "files.json").write_text('{"a|3')
    file = tmp_path / "a.jsonl"
    file.write_text("one")
    assert cache.content_digests(tmp_path, [file]) == [hashlib.sha256(b"one").hexdigest()]


def test_keys_depend_on_every_part_and_not_on_order_of_names() -> None:
    assert cache.key_of({"a": 1, "b": 2}) == cache.key_of({"b": 2, "a": 1})
    assert len({cache.key_of(1), cache.key_of("1"), cache.key_of([1]), cache.key_of(1, 2)}) == 4


def test_the_folder_is_the_option_then_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELECT2REASON_CACHE", str(tmp_path / "variable"))
    assert cache.cache_root() == tmp_path / "variable"
    assert cache.cache_root(tmp_path / "option") == tmp_path / "option"
    monkeypatch.delenv("SELECT2REASON_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_root() == tmp_path / "select2reason"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot make the cache folder .*--cache-dir"):
        cache.cache_root(tmp_path / "file" / "cache")


def test_pools_are_listed_with_their_scores_and_cleared(tmp_path: Path) -> None:
    scores = tmp_path / "pools" / ("ab" * 8) / "scores" / "trace-123"
    scores.mkdir(parents=True)
    (scores / "00000.parquet").write_bytes(b"12345")
    listed = cache.list_pools(tmp_path)
    assert [(p.path.name, p.rows, p.size_bytes, p.scores) for p in listed] == [("ab" * 8, None, 5, ("trace-123",))]
    assert listed[0].day == date.today().isoformat()
    (tmp_path / "pools" / ("ab" * 8) / "pool.json").write_text('{"rows": 7}')
    assert cache.list_pools(tmp_path)[0].rows == 7
    (scores.parent / "gone").symlink_to(tmp_path / "nowhere")
    assert cache.list_pools(tmp_path)[0].rows == 7
    assert cache.clear(tmp_path) == Cleared(16, 0)
    assert cache.list_pools(tmp_path) == []


def test_clearing_takes_nothing_that_is_not_the_cache_s_own(tmp_path: Path) -> None:
    (tmp_path / "pools" / "mine").mkdir(parents=True)
    assert cache.clear(tmp_path) == Cleared(0, 0)
    assert (tmp_path / "pools" / "mine").is_dir()


def test_clearing_leaves_a_pool_that_is_being_made(tmp_path: Path) -> None:
    place = tmp_path / "pools" / ("ab" * 8)
    with part_folder(place) as part:
        (part / "text").write_bytes(b"12345")
        assert cache.clear(tmp_path) == Cleared(0, 1)
        assert (part / "text").is_file()
    left = place.with_name(f"{place.name}.elsewhere.1.0.part")  # nobody holds it
    left.mkdir()
    (tmp_path / "pools" / ("cd" * 8)).symlink_to(tmp_path)
    cache.clear(tmp_path)
    assert not (tmp_path / "pools" / ("cd" * 8)).is_symlink()
    assert not left.exists()


def test_a_cache_that_cannot_be_written_serves_what_it_holds(
    write_rows: WriteRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = write_rows([question_row(number) for number in range(9)])
    run(pool, tmp_path / "one", replace(SAFE, preset="paper"))

    def refuse(place: Path) -> None:
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr(cache, "part_file", refuse)
    assert run(pool, tmp_path / "two", replace(SAFE, preset="paper", weight=0.5)).height == 9
    with pytest.raises(OutputError, match=r"cannot write to the cache folder .*; mend its rights, or name another"):
        run(pool, tmp_path / "three")  # safe asks more of every row
    other = write_rows([question_row(number) for number in range(3)], "other.jsonl")
    with pytest.raises(OutputError, match="cannot write to the cache folder"):
        run(other, tmp_path / "three", replace(SAFE, preset="paper"))


@pytest.mark.parametrize("kind", ["pools", "questions"])
def test_the_command_that_clears_a_cache_names_it(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = tmp_path / "my cache" / kind / "0123456789abcdef"
    own = f"select2reason cache --clear --cache-dir '{tmp_path / 'my cache'}'"
    assert cache.clearing(pool) == cache.clearing(pool / "scores" / "trace") == own
    monkeypatch.setenv("SELECT2REASON_CACHE", str(tmp_path / "my cache"))
    assert cache.clearing(pool) == "select2reason cache --clear"
    assert cache.clearing(tmp_path / "elsewhere") == "select2reason cache --clear"


def test_digests_that_were_begun_are_those_that_are_taken(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    names = [
        str(one),
        str(one),
        str(tmp_path),
        str(tmp_path / "missing"),
        "open-r1/OpenR1-Math-220k",
        "\0",
        "~nobody-here/x",
    ]
    assert cache.begin_digests(tmp_path, names)
    assert cache.begin_digests(tmp_path, [one])  # it is new as long as it is not written down
    expected = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (one, other)]
    assert cache.content_digests(tmp_path, [one, other]) == expected
    assert not cache.begin_digests(tmp_path, names)


def test_a_file_that_changed_since_its_digest_was_begun_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")
    cache.begin_digests(tmp_path, [str(file)])
    file.write_bytes(b"changed")
    assert cache.content_digests(tmp_path, [file]) == [hashlib.sha256(b"changed").hexdigest()]


def test_a_file_that_may_not_be_read_is_told_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"there")

    def refuse(path: Path) -> str:
        raise PermissionError(path)

    monkeypatch.setattr(cache, "file_digest", refuse)
    assert cache.begin_digests(tmp_path, [str(file)])
    with pytest.raises(PoolError, match="no permission to read"):
        cache.content_digests(tmp_path, [file])
