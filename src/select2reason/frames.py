"""One type a column: what becomes of values, batches and shards that disagree about a column's type.

Unlike values become text: a text stays as it is, anything else is written as JSON. So nothing is lost, nothing is
coerced, and the same value gives the same text whatever stood beside it. The same goes for types that cannot be stored
or compared (structs without fields, unions, intervals, very deep nesting).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from types import NoneType

import numpy as np
import orjson
import polars as pl
import pyarrow as pa

WHITE = "".join(chr(c) for c in range(0x3001) if chr(c).isspace())  # what str.strip trims, for Polars too
_NOT_WHITE = f"[^{re.escape(WHITE)}]"
_MOST_LEVELS = 16  # of nesting that stays typed: Polars took 16 s for one value nested 500 deep, and crashed at 1,000
_SHOWN = 16  # values of a column that comes late
_COMMON = 0.5  # least part of the rows that have a column that is no rarity
FEWEST_ROWS = 2  # of a frame with long texts: of a row alone Polars makes scalars, and copied 200 MB up to four times
LARGEST = 1e300  # a number beyond it stands for none, as infinity does: sums and differences of such are no floats
_EXACT_FLOAT = 2**53  # whole numbers beyond it are not all a float
_NOT_STORED = (
    pa.types.is_union,
    pa.types.is_run_end_encoded,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
    pa.types.is_interval,
    pa.types.is_decimal256,
    pa.types.is_map,
    lambda kind: isinstance(kind, pa.BaseExtensionType),
)


def from_values(name: str, values: Sequence[object]) -> pl.Series:
    """A typed column of JSON values."""
    if {type(value) for value in values} in ({str}, {str, NoneType}):
        return pl.Series(name, values, dtype=pl.String)  # half the memory of the way through Arrow
    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return _worded(name, values)
    return from_arrow(name, array)


def from_arrow(name: str, array: pa.Array) -> pl.Series:
    """An Arrow column; categories become plain text."""
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if not _can_be_stored(array.type, _MOST_LEVELS):
        return _worded(name, array.to_pylist())
    try:
        column = taken_over(array, name)
    except pl.exceptions.PolarsError:  # a time zone that it does not know
        return _worded(name, array.to_pylist())
    return column.cast(_without_categories(column.dtype))


def taken_over(array: pa.Array, name: str = "") -> pl.Series:
    """An Arrow array as a column, of the type that it has and without a copy.

    By Arrow's own protocol: what Polars does with an array that it knows for pyarrow's loads pyarrow.compute: 0.06 s.
    """
    if isinstance(array, pa.ChunkedArray):  # what is too long for one array
        return pl.Series(name, pl.from_arrow(array))
    return pl.Series("", _Handed(array)).alias(name)  # it comes without one


@dataclass(frozen=True, slots=True)
class _Handed:
    """Nothing but an Arrow array."""

    array: pa.Array

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        handed: tuple[object, object] = self.array.__arrow_c_array__(requested_schema)
        return handed


def frame_of(batch: pa.RecordBatch) -> pl.DataFrame:
    """An Arrow batch as a frame, likewise."""
    names = batch.schema.names
    return pl.DataFrame([taken_over(batch.column(number), name) for number, name in enumerate(names)])


def _can_be_stored(kind: pa.DataType, levels: int) -> bool:
    if levels == 0 or any(is_kind(kind) for is_kind in _NOT_STORED):
        return False
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        named = bool(fields) and not any("\0" in field.name for field in fields)  # Polars ends names there
        return named and all(_can_be_stored(field.type, levels - 1) for field in fields)
    item = getattr(kind, "value_field", None)  # of lists; a name that is no text is told here, and ends nothing
    if item is not None and "\0" in item.name:
        return False
    inner = getattr(kind, "value_type", None)  # of lists and dictionaries
    return inner is None or _can_be_stored(inner, levels - 1)


def _without_categories(dtype: pl.DataType) -> pl.DataType:
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.String()
    if isinstance(dtype, pl.List):
        return pl.List(_without_categories(dtype.inner))  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: _without_categories(field.dtype) for field in dtype.fields})  # type: ignore[arg-type]
    return dtype


def repeated(name: str, value: object, dtype: type[pl.DataType], rows: int) -> pl.Series:
    """A column of one value, without a query."""
    return pl.Series(name, [value], dtype=dtype).new_from_index(0, rows)


def blank(texts: pl.Expr) -> pl.Expr:
    """Whether a text is white space throughout, or empty; looked at up to its first other sign, where trimming it
    would copy the rest."""
    return ~texts.str.contains(_NOT_WHITE)


def without(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    """The other columns, without a query: names may look like patterns."""
    return frame[[other for other in frame.columns if other not in names]]


def joined(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Frames of the same columns below one another, each a piece of the result: nothing is copied, not even of a frame
    of one row, where pl.concat copies a text six times."""
    columns = zip(*(frame.iter_columns() for frame in frames), strict=True)
    return pl.DataFrame([pl.concat(column, rechunk=False) for column in columns])


def stacked(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Frames below one another; a column that one lacks is null there."""
    columns: dict[str, list[pl.Series]] = {}
    for frame in frames:
        for column in frame.iter_columns():
            columns.setdefault(column.name, []).append(column)
    unlike = {name for name, parts in columns.items() if not _agree(parts)}
    alike = [_worded_in(frame, unlike) for frame in frames] if unlike else frames
    return pl.concat(alike, how="diagonal_relaxed") if alike else pl.DataFrame()


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a table, and behind them those that show a column for the first time; `rare` columns have no
    value in the first rows, and few further on."""

    frame: pl.DataFrame
    rare: frozenset[str] = frozenset()

    @property
    def common(self) -> pl.DataFrame:
        """Without what is rare."""
        return without(self.frame, *self.rare)


def telling(frames: Sequence[pl.DataFrame], rows: int) -> Sample:
    """The first rows of a table that comes in pieces and, for a column that is null in all of these, the first ones
    where it is not. Types are those of the first rows: an odd value further on changes none."""
    heights = np.cumsum([len(frame) for frame in frames])
    head = stacked(frames[: int(np.searchsorted(heights, rows)) + 1]).head(rows)
    whole = stacked(frames)
    known = {name for name in head.columns if head[name].null_count() < head.height}
    others = [name for name in whole.columns if name not in known]
    further = whole.height > head.height  # else it is not known what is rare
    rare = frozenset(name for name in others if further and whole[name].count() < _COMMON * whole.height)
    late = {row for name in others for row in _first_known(whole[name])}
    if not late:
        return Sample(head)
    shown = whole[[*range(head.height), *sorted(late)]]
    kept = {name: head[name] for name in known if shown.schema[name] != head.schema[name]}
    nulls = {name: pl.repeat(None, len(late), dtype=column.dtype, eager=True) for name, column in kept.items()}
    return Sample(shown.with_columns([column.append(nulls[name]) for name, column in kept.items()]), rare)


def _first_known(column: pl.Series) -> list[int]:
    return [int(row) for row in np.flatnonzero(column.alias("").is_not_null().to_numpy())[:_SHOWN]]


def _worded_in(frame: pl.DataFrame, names: Collection[str]) -> pl.DataFrame:
    return frame.with_columns(texts(frame[name]) for name in frame.columns if name in names)


def _agree(parts: Sequence[pl.Series]) -> bool:
    """Whether a type holds every value of these columns exactly."""
    kinds = {part.dtype for part in parts}
    real = kinds - {pl.Null(), pl.List(pl.Null)}
    if len(real) <= 1:
        return pl.List(pl.Null) not in kinds or all(isinstance(kind, pl.List) for kind in real)
    if pl.List(pl.Null) in kinds:
        return False
    if all(kind.is_signed_integer() for kind in real) or all(kind.is_float() for kind in real):
        return True
    return all(kind.is_signed_integer() or kind.is_float() for kind in real) and all(map(_fits_float, parts))


def _fits_float(column: pl.Series) -> bool:
    if not column.dtype.is_integer():
        return True
    within = column.cast(pl.Int64).is_between(-_EXACT_FLOAT, _EXACT_FLOAT)
    return bool(within.all())


def texts(column: pl.Series) -> pl.Series:
    """A column as text, null where it is null."""
    return column if column.dtype == pl.String else _worded(column.name, column.to_list())


def _worded(name: str, values: Sequence[object]) -> pl.Series:
    return pl.Series(name, [as_text(value) for value in values], dtype=pl.String)


def as_text(value: object) -> str | None:
    """A text as it is, any other value as JSON; a float that is a whole number reads as that number."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        value = int(value)
    if not isinstance(value, bool | int | float | list | dict):
        return str(value)
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # integers of more than 64 bits, more than 254 levels
        return _long_way(value)


def _long_way(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except RecursionError:
        return f"({type(value).__name__} nested too deeply to be written)"
