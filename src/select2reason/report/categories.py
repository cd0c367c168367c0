"""How the categories of questions are spread over pool and selection: the largest by name, the rest summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from select2reason.report import plain

_NAMED = 15
_NAME_CHARS = 60


@dataclass(frozen=True, slots=True)
class Category:
    """`summed` says that it is no category of the pool: all others together, or the examples without one."""

    name: str
    summed: bool
    pool: int
    selection: int


def categories(names: pl.Series, selected: pl.Series | None = None) -> Sequence[Category]:
    """The largest of the pool first, equal ones by name; empty where no example has a category.

    `names` has one a row of the pool, null = none; they are text of the pool, and cut to one line.
    """
    chosen = pl.repeat(False, len(names), eager=True) if selected is None else selected
    counts = (
        pl.DataFrame({"name": names.cast(pl.String), "chosen": chosen})
        .group_by("name")
        .agg(pool=pl.len(), selection=pl.col("chosen").sum())
        .sort(-pl.col("pool").cast(pl.Int64), "name")
    )
    named = counts.filter(pl.col("name").is_not_null())
    if named.is_empty():
        return []
    rest = named.slice(_NAMED)
    return [
        *(Category(_name(name), False, pool, some) for name, pool, some in named.head(_NAMED).iter_rows()),
        *_summed(f"{plain.count(rest.height)} others", rest),
        *_summed("none", counts.filter(pl.col("name").is_null())),
    ]


def _name(name: str) -> str:
    return plain.opening(name, _NAME_CHARS) or "(blank)"


def _summed(name: str, counts: pl.DataFrame) -> Sequence[Category]:
    pool, chosen = (int(counts[side].sum()) for side in ("pool", "selection"))
    return [Category(name, True, pool, chosen)] if counts.height else []
