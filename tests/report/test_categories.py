"""Categories: the largest named, the rest summed, those without one apart, and names that are only text."""

import polars as pl

from select2reason.report.categories import Category, categories


def test_the_rest_is_summed_and_none_comes_last() -> None:
    names = [f"c{n:02}" for n in range(20) for _ in range(20 - n)] + [None] * 500
    selected = pl.Series([name in ("c00", "c16", "c19") or name is None for name in names])
    found = categories(pl.Series(names), selected)
    assert [c.name for c in found[:15]] == [f"c{n:02}" for n in range(15)]
    assert found[0] == Category("c00", False, 20, 20)
    assert found[15:] == [Category("5 others", True, 5 + 4 + 3 + 2 + 1, 4 + 1), Category("none", True, 500, 500)]


def test_equal_ones_come_by_name_and_a_pool_has_no_selection() -> None:
    found = categories(pl.Series(["b", "a", "none", "others"]))
    assert found == [Category(name, False, 1, 0) for name in ("a", "b", "none", "others")]


def test_a_pool_without_categories_has_none() -> None:
    assert categories(pl.Series([None, None], dtype=pl.String)) == []
    assert categories(pl.Series([], dtype=pl.String)) == []


def test_long_and_blank_names_become_one_short_line() -> None:
    found = categories(pl.Series(["x" * 5_000, " \n ", "two\nlines"]))
    assert [c.name for c in found] == ["(blank)", "two lines", "x" * 59 + "…"]
