"""The sheet that all drawings share: where things stand on it, in numbers that a reader can check."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from select2reason.report.canvas import POOL, SELECTION, Sheet, apart, length_ticks, short


def words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_a_sheet_names_its_axes_and_its_alternative_text() -> None:
    svg = Sheet("trace <tokens>", 'share, "%"', y=(0.0, 1.0)).svg("n < 3 & more")
    assert svg.startswith('<svg viewBox="0 0 396 252" role="img" aria-label="n &lt; 3 &amp; more"><title>n &lt; 3')
    assert words(svg)[-2:] == ["trace &lt;tokens&gt;", "share, &#34;%&#34;"]


def test_steps_stand_on_the_ground_and_leave_room_above() -> None:
    sheet = Sheet("x", "y", x=(0.0, 2.0))
    sheet.steps([10, 20], [0, 1, 2], POOL, filled=True)
    assert sheet.heights() == (0.0, 21.0)
    way = re.search(r'<path d="(M[^"]+)" fill="var\(--pool\)"', sheet.svg("a"))
    assert way is not None
    places = [tuple(map(float, place.split())) for place in way[1][1:].split("L")]
    assert [x for x, _ in places] == [49.5, 49.5, 218.75, 218.75, 388, 388]
    bottom, top = 214.0, 7.5
    assert [y for _, y in places] == pytest.approx(
        [bottom, *[bottom - (bottom - top) * 10 / 21] * 2, *[bottom - (bottom - top) * 20 / 21] * 2, bottom], abs=0.01
    )


def test_a_line_has_room_on_both_sides_and_a_mark_at_each_place() -> None:
    sheet = Sheet("x", "y")
    sheet.line([0, 1], [2.0, 4.0], SELECTION, 2, marker="disc")
    assert sheet.heights() == pytest.approx((1.9, 4.1))
    assert sheet.svg("a").count("<circle") == 2


def test_equal_heights_can_be_drawn() -> None:
    sheet = Sheet("x", "y")
    sheet.line([0, 1], [0.0, 0.0], SELECTION, 2)
    sheet.whiskers([0.5], [0.0], [0.0], SELECTION)
    assert "nan" not in sheet.svg("a")


def test_equal_heights_of_any_size_can_be_drawn() -> None:
    for height in (1.7e18, -1e299, 0.0):
        sheet = Sheet("x", "y")
        sheet.line([0, 1], [height, height * (1 + 1e-12)], SELECTION, 2)
        low, high = sheet.heights()
        assert low < height < high
        assert "nan" not in sheet.svg("alt")


def test_a_logarithmic_sheet_puts_ten_in_the_middle_of_one_and_a_hundred() -> None:
    sheet = Sheet("x", "y", x=(1.0, 100.0), y=(0.0, 1.0), x_is_log=True, x_ticks=[(10.0, "ten")])
    assert f'x="{(49.5 + 388) / 2:g}"' in sheet.svg("a").split("ten")[0].rpartition("<text")[2]


def test_labels_of_two_lines_make_room_for_the_name_below() -> None:
    one = Sheet("name", "y", y=(0.0, 1.0), x_ticks=[(0.5, "a")]).svg("a")
    two = Sheet("name", "y", y=(0.0, 1.0), x_ticks=[(0.5, "a\nn = 3")]).svg("a")
    (low,), (lower,) = (re.findall(r'y="([\d.]+)"[^>]*>name<', svg) for svg in (one, two))
    assert float(lower) - float(low) == pytest.approx(13.2)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_round_numbers_lie_within_and_are_told_apart(low: float, span: float) -> None:
    told = words(Sheet("", "", x=(0.0, 1.0), y=(low, low + span), x_ticks=[]).svg("a"))[:-2]
    numbers = [float(name.replace("−", "-")) for name in told]
    assert 2 <= len(numbers) <= 6 or span < 1e-9 * abs(low)
    assert all(a < b for a, b in pairwise(numbers))
    assert all(low - 1e-6 * span - 1e-9 <= n <= low + span * (1 + 1e-6) + 1e-9 for n in numbers)


def test_lengths_have_ticks_as_people_say_them() -> None:
    assert length_ticks(np.array([300.0, 30_000.0])) == [
        (500.0, "500"), (1_000.0, "1k"), (2_000.0, "2k"), (5_000.0, "5k"), (10_000.0, "10k"), (20_000.0, "20k"),
    ]  # fmt: skip
    assert [short(n) for n in (1500, 2e6, -2500, 0.25)] == ["1.5k", "2M", "-2.5k", "0.25"]


def test_names_are_pushed_apart_upwards() -> None:
    assert apart([1.0, 1.1, 5.0], 0.5) == [1.0, 1.5, 5.0]
    assert apart([], 0.5) == []
