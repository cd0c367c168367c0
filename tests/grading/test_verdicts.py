r"""Right, wrong, or not to be judged: the cases, the laws, and Math-Verify's own pairs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.grading.cases import CASES, UNEQUAL

from select2reason.grading import Grader, final_answer
from select2reason.grading.numbers import read_number, same_number
from select2reason.grading.rules import decide
from select2reason.grading.tidy import tidy


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(2, timeout_s=20) as grader:
        yield grader


def test_every_case(grader: Grader) -> None:
    verdicts = grader.grade([(given, gold) for given, gold, _ in CASES])
    wrong = [(case, got) for case, got in zip(CASES, verdicts, strict=True) if got is not case[2]]
    assert not wrong


def test_unequal_is_unequal_the_other_way_round(grader: Grader) -> None:
    verdicts = grader.grade([(gold, given) for given, gold in UNEQUAL])
    assert [pair for pair, got in zip(UNEQUAL, verdicts, strict=True) if got is not False] == []


def test_every_case_is_equal_to_itself() -> None:
    texts = [text for given, gold, _ in CASES for text in (given, gold) if text and text.strip()]
    assert all(decide(tidy(text), tidy(text)) is True for text in texts)


def test_never_worse_than_math_verify_on_its_own_pairs(shared: Path, grader: Grader) -> None:
    import math_verify

    pairs = pl.read_parquet(shared / "data/grading/math_verify_test_pairs.parquet")
    expected = [bool(value) for value in pairs.select(pl.coalesce("expected", "result")).to_series()]
    logging.disable(logging.CRITICAL)
    theirs = [
        math_verify.verify(math_verify.parse(gold), math_verify.parse(said))
        for gold, said in pairs["gold", "pred"].rows()
    ]
    logging.disable(logging.NOTSET)
    ours = grader.grade(
        [(final_answer(said) or said, final_answer(gold) or gold) for gold, said in pairs["gold", "pred"].rows()]
    )
    agreeing = sum(got is want for got, want in zip(ours, expected, strict=True))
    assert agreeing >= sum(got is want for got, want in zip(theirs, expected, strict=True))
    assert agreeing >= 164


# --- laws -----------------------------------------------------------------------------------------------------------


INTEGERS = st.integers(-(10**12), 10**12)


@given(INTEGERS)
def test_writings_of_an_integer(n: int) -> None:
    for text in (
        f"{n:,}",
        f"{n:,}".replace(",", "{,}"),
        f"${n}$",
        f"{n}.0",
        f"x = {n}",
        rf"\text{{{n}}}",
        f"{n} cm",
        f"**{n}**",
    ):
        assert decide(tidy(text), tidy(str(n))) is True, text


@given(INTEGERS, INTEGERS)
def test_different_integers_are_different(a: int, b: int) -> None:
    assert decide(tidy(f"{a:,}"), tidy(str(b))) is (a == b)


@given(st.integers(-999, 999), st.integers(1, 999), st.integers(1, 50))
def test_writings_of_a_fraction(top: int, bottom: int, times: int) -> None:
    value = Fraction(top, bottom)
    for text in (f"{top * times}/{bottom * times}", rf"\frac{{{top}}}{{{bottom}}}", rf"\dfrac{{{top}}}{{{bottom}}}"):
        number = read_number(tidy(text))
        assert number is not None and number.value == value


@given(st.integers(1, 9999), st.integers(1, 9999), st.integers(3, 9))
def test_a_decimal_is_the_fraction_it_rounds_or_not(top: int, bottom: int, places: int) -> None:
    value = Fraction(top, bottom)
    near, far = round(value, places), round(value, places) + Fraction(2, 10**places)
    gold = read_number(f"{top}/{bottom}")
    assert gold is not None
    for decimal, right in ((near, True), (far, False)):
        number = read_number(f"{float(decimal):.{places}f}")
        if number is not None and number.value >= Fraction(1000, 10**places):  # four significant digits
            assert same_number(number, gold) is right


@given(st.text(max_size=40))
@settings(max_examples=300)
def test_any_text_is_read_without_an_error(text: str) -> None:
    tidied = tidy(text)
    assert decide(tidied, tidied) is bool(tidied)
    read_number(tidied)
    final_answer(text)
