"""Difficulty that a pool brings along, in a column of its own."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import polars as pl

from select2reason.errors import UsageError
from select2reason.frames import LARGEST
from select2reason.pool import OWN, Pool


def refuse_unknown_column(name: str, own: Sequence[str]) -> None:
    """For --difficulty column:NAME: raise UsageError where the pool's own columns lack it."""
    if name not in own:
        close = get_close_matches(name, own, n=1)
        hint = f"did you mean column:{close[0]}?" if close else f"it has {', '.join(own) or 'none to offer'}"
        raise UsageError(f"the pool carries no column {name} for --difficulty column:{name}; {hint}")


def column_difficulty(pool: Pool, name: str) -> pl.Series:
    """A carried column as difficulty, higher = harder (Float64); what is no finite number becomes null.

    Raises UsageError where there is no such column, or no number in it.
    """
    refuse_unknown_column(name, pool.own_columns())
    column = pool.narrow([OWN + name])[OWN + name]
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.String, pl.Null)):
        raise UsageError(f"column {name} holds {column.dtype}, not numbers; name another with --difficulty column:NAME")
    numbers = column.cast(pl.Float64, strict=False)
    numbers = numbers.set(~(numbers.abs() < LARGEST).fill_null(False), None)
    if len(numbers) and numbers.null_count() == len(numbers):
        raise UsageError(f"column {name} holds no finite number; name another with --difficulty column:NAME")
    return numbers.rename("difficulty")
