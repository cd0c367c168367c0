"""Cutting JSON files into records: lines, arrays in any print, and files that break off."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from select2reason import json_records
from select2reason.errors import PoolError

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=4)
    | st.sampled_from(['"', "\\", '\\"', "[{", "},", "]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


class Drops:
    """A stream that gives few bytes at a time, whatever is asked for."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = io.BytesIO(data)
        self._size = size

    def read(self, _: int, /) -> bytes:
        return self._data.read(self._size)


def records(data: bytes, *, size: int = 1 << 20) -> list[tuple[int, bytes]]:
    return list(json_records.cut(Drops(data, size), "pool.json"))


def test_lines_keep_their_numbers() -> None:
    lines = [(0, b'{"a": 1}\r'), (2, b'{"b": 2}'), (5, b"no JSON")]
    assert records(b'\xef\xbb\xbf{"a": 1}\r\n \n{"b": 2}\n\r\n\nno JSON') == lines
    assert records(b'{"a": 1}\n') == [(0, b'{"a": 1}')]
    assert records(b"") == records(b" \n\n\t") == []


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_line_may_run_over_any_number_of_blocks(size: int) -> None:
    assert records(b'{"a": "' + b"x" * 50 + b'"}\n{"b": 2}', size=size) == [
        (0, b'{"a": "' + b"x" * 50 + b'"}'),
        (1, b'{"b": 2}'),
    ]


@given(st.lists(JSON, max_size=5), st.sampled_from([None, 0, 2]), st.integers(8, 40), st.booleans())
@settings(deadline=None)
def test_every_item_of_an_array_is_found(items: list[Any], indent: int | None, size: int, bom: bool) -> None:
    text = json.dumps(items, indent=indent, ensure_ascii=False)
    cut = records(text.encode("utf-8-sig" if bom else "utf-8"), size=size)
    assert [place for place, _ in cut] == list(range(len(items)))
    assert [json.loads(item) for _, item in cut] == items


def test_a_damaged_item_leaves_the_others_whole() -> None:
    assert records(b'[{"a":,}, {"b": NaN}, {"c": [}], {"d": 4}]') == [
        (0, b'{"a":,}'),
        (1, b'{"b": NaN}'),
        (2, b'{"c": [}]'),
        (3, b'{"d": 4}'),
    ]


@pytest.mark.parametrize(
    "text", ["[", '[{"a": 1}', '[{"a": 1},\n', '[{"a": "1}]', '[{"a": 1}, {"b": [1]', '[{"a": "\\']
)
def test_an_array_that_breaks_off(text: str) -> None:
    with pytest.raises(PoolError, match=r"^pool\.json: the JSON array breaks off at item [01]; write it again"):
        records(text.encode())


@pytest.mark.parametrize("text", ['[{"a": 1}] {"b": 2}', '[{"a": 1}}', '[\n{"a": 1}]\n[]'])
def test_text_after_an_array_is_not_passed_over(text: str) -> None:
    with pytest.raises(
        PoolError, match=r"^pool\.json: text follows the JSON array after item 1; write it as JSON Lines"
    ):
        records(text.encode())


def test_text_behind_an_array_that_ends_with_its_block_is_not_passed_over() -> None:
    array = b'[{"a": 1}]'
    assert records(array + b"  \n", size=len(array)) == [(0, b'{"a": 1}')]
    with pytest.raises(PoolError, match="text follows the JSON array after item 1"):
        records(array + b"  \n" + array, size=len(array))


def test_a_list_in_the_first_of_several_lines_is_a_record() -> None:
    assert records(b'[1, 2]\n{"a": 1}\n') == [(0, b"[1, 2]"), (1, b'{"a": 1}')]
    assert records(b'[{"a": 1}]\n\n') == [(0, b'{"a": 1}')]


@pytest.mark.parametrize(
    ("first", "array"),
    [(b"[", True), (b'\xef\xbb\xbf\n [{"a"', True), (b'{"a": []}', False), (b"[1]\n[2]", False), (b"", False)],
)
def test_what_begins_an_array(first: bytes, array: bool) -> None:
    assert json_records.begins_array(first) is array
