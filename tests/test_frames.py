"""One type a column: values, batches and shards that disagree."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from select2reason.frames import as_text, from_arrow, from_values, stacked, texts

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("as it is", "as it is"),
        (42, "42"),
        (42.0, "42"),
        (0.5, "0.5"),
        (True, "true"),
        (2**70, "1180591620717411303424"),
        (["x", 1, None], '["x",1,null]'),
        ({"十": 2**70}, '{"十":1180591620717411303424}'),
        (b"\xffa", "\ufffda"),
        (date(2025, 1, 2), "2025-01-02"),
    ],
)
def test_the_text_of_a_value(value: object, text: str | None) -> None:
    assert as_text(value) == text


def test_values_of_one_type_keep_it() -> None:
    assert from_values("a", [1, None, 3]).dtype == pl.Int64
    assert from_values("a", [1, 0.5]).to_list() == [1.0, 0.5]
    assert from_values("a", [["x"], [], None]).dtype == pl.List(pl.String)
    assert from_values("a", [{"x": 1}, {"y": "2"}]).to_list() == [{"x": 1, "y": None}, {"x": None, "y": "2"}]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1, "1", [1], {"a": 1}, None], ["1", "1", "[1]", '{"a":1}', None]),
        ([True, 1], ["true", "1"]),
        ([2**63, 1], ["9223372036854775808", "1"]),
        ([2**60 + 1, 0.5], ["1152921504606846977", "0.5"]),
        ([{}, {}], ["{}", "{}"]),
        ([{"": 1, "\0": 2}], ['{"":1,"\\u0000":2}']),
        ([["a", 1], None], ['["a",1]', None]),
    ],
)
def test_unlike_values_become_text(values: list[object], text: list[str | None]) -> None:
    assert from_values("a", values).to_list() == text


@pytest.mark.parametrize("levels", [10, 100, 1_000])
def test_deep_nesting_is_neither_slow_nor_fatal(levels: int) -> None:
    value: object = 1
    for _ in range(levels):
        value = [value]
    assert len(from_values("a", [value])) == 1


def arrow(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind)


@pytest.mark.parametrize(
    ("array", "dtype", "values"),
    [
        (arrow(["a", None], pa.string_view()), pl.String, ["a", None]),
        (arrow(["a", "b", "a"], pa.dictionary(pa.int8(), pa.string())), pl.String, ["a", "b", "a"]),
        (arrow([["a"], None], pa.list_(pa.dictionary(pa.int8(), pa.string()))), pl.List(pl.String), [["a"], None]),
        (arrow([{"a": "x"}], pa.struct([("a", pa.dictionary(pa.int8(), pa.string()))])), None, [{"a": "x"}]),
        (arrow(["{}"], pa.json_()), pl.String, ["{}"]),
        (arrow([1], pa.decimal256(60, 2)), pl.String, ["1.00"]),
        (arrow([[("a", 1)]], pa.map_(pa.string(), pa.int64())), pl.String, ['[["a",1]]']),
        (arrow([["a", "b"], None], pa.list_view(pa.string())), pl.String, ['["a","b"]', None]),
        (arrow([{}, None], pa.struct([])), pl.String, ["{}", None]),
        (arrow([1], pa.timestamp("s", "+05:30")), pl.String, ["1970-01-01 05:30:01+05:30"]),
        (pa.RunEndEncodedArray.from_arrays([2], ["a"]), pl.String, ["a", "a"]),
    ],
)
def test_odd_arrow_types_come_to_something_storable(array: pa.Array, dtype: Any, values: list[object]) -> None:
    column = from_arrow("a", array)
    assert column.to_list() == values
    assert dtype is None or column.dtype == dtype
    column.to_frame().write_parquet(io.BytesIO())


def stack(*columns: list[Any]) -> list[object]:
    return stacked([pl.DataFrame([from_values("a", values)]) for values in columns])["a"].to_list()


def test_frames_of_unlike_types_become_text() -> None:
    assert stack([1], ["x"], [None], [[2]]) == ["1", "x", None, "[2]"]
    assert stack([True], [1]) == ["true", "1"]
    assert stack([{"x": 1}], [{"y": 2}]) == ['{"x":1}', '{"y":2}']


def test_numbers_meet_where_none_is_changed() -> None:
    assert stack([1], [0.5]) == [1.0, 0.5]
    assert stack([2**60 + 1], [0.5]) == ["1152921504606846977", "0.5"]
    small, large = pl.Series("a", [1], pl.Int8), pl.Series("a", [2**63], pl.UInt64)
    assert stacked([small.to_frame(), pl.DataFrame({"a": [2]})])["a"].dtype == pl.Int64
    assert stacked([small.to_frame(), large.to_frame()])["a"].to_list() == ["1", "9223372036854775808"]


def test_empty_lists_do_not_make_text_of_the_others() -> None:
    assert stack([[]], [["x"]], [None]) == [[], ["x"], None]
    assert stack([[]], [1]) == ["[]", "1"]


def test_a_column_that_some_frames_lack_is_null_there() -> None:
    frame = stacked([pl.DataFrame({"a": [1]}), pl.DataFrame({"b": ["x"]})])
    assert frame.to_dict(as_series=False) == {"a": [1, None], "b": [None, "x"]}
    assert stacked([]).is_empty()


@given(st.lists(st.lists(JSON, min_size=1, max_size=4), min_size=1, max_size=3))
def test_any_json_can_be_stacked_stored_and_told(batches: list[list[Any]]) -> None:
    frame = stacked([pl.DataFrame([from_values("a", values)]) for values in batches])
    frame.write_parquet(io.BytesIO())
    values = [value for batch in batches for value in batch]
    told = texts(frame["a"]).to_list()
    assert [text is None for text in told] == [value is None for value in values]
    assert all(text == value for text, value in zip(told, values, strict=True) if isinstance(value, str))
