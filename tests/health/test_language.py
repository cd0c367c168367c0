"""A passage in another script is found; foreign words, signs and whole traces in another language are no switch."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest

from select2reason.demo.flaws import switch_language
from select2reason.health.language import switches

ENGLISH = "So the sum of the first n numbers is what we want, and it grows like n squared. " * 6
CHINESE = "所以我们需要计算前面的和，然后再检查一次结果是否正确。" * 12


@pytest.mark.parametrize(
    ("question", "trace", "switched"),
    [
        ("Find it.", ENGLISH + "同样的结论成立" + ENGLISH, True),
        ("Find it.", ENGLISH + "Поэтому ответ равен трём" + ENGLISH, True),
        ("Find it.", ENGLISH + "그래서답은" + ENGLISH, True),
        ("Find it.", ENGLISH + CHINESE + ENGLISH, True),
        ("求和", CHINESE + ENGLISH + CHINESE, True),
        ("Find it.", ENGLISH, False),
        ("Find it.", ENGLISH + " 即 " + ENGLISH, False),  # a word
        ("Find it.", ENGLISH + " α → β, √2 ≤ ∑ 𝑥, naïve, “quoted” " + ENGLISH, False),
        ("Find it.", CHINESE, False),  # written in Chinese throughout
        ("求前面的和", ENGLISH + "前面的和" + ENGLISH, False),  # quotes its question
        ("求和", CHINESE + r"\begin{aligned} x & = 1 \end{aligned}" + CHINESE, False),
        ("Find it.", "", False),
    ],
)
def test_switches(question: str, trace: str, switched: bool) -> None:
    rows = [("Find it.", ENGLISH), (question, trace), ("Find it.", None)]
    questions, traces = (pl.Series(column, dtype=pl.String) for column in zip(*rows, strict=True))
    assert switches(questions, traces).to_list() == [False, switched, False]


def test_the_demo_s_switches_are_found() -> None:
    traces = ["\n\n".join(switch_language([ENGLISH] * 4, Random(seed))) for seed in range(20)]
    assert switches(pl.Series(["Find it."] * 20), pl.Series(traces)).all()


@pytest.mark.parametrize("after", ["", ".\n", "然后", ", "])
def test_twelve_words_of_english_are_a_passage_wherever_they_stand(after: str) -> None:
    words = "we now look for the smallest value that these two can take"
    traces = [CHINESE * 3 + some + after + CHINESE for some in (words, words.removeprefix("we "))]
    assert switches(pl.Series(["求和"] * 2), pl.Series(traces)).to_list() == [True, False]


def test_no_rows() -> None:
    assert switches(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String)).to_list() == []


def test_chinese_in_a_korean_trace_is_a_switch() -> None:
    korean = "먼저 주어진 식을 정리하고 각 항을 비교하면 답을 얻을 수 있습니다. " * 3
    asked = pl.Series(["두 수의 합을 구하시오.", "三角形의 넓이를 구하시오."])
    traces = pl.Series([korean + "然后我们需要计算这个方程的解。"] * 2)
    assert switches(asked, traces).to_list() == [True, False]
    assert switches(asked, pl.Series([korean] * 2)).to_list() == [False, False]


@pytest.mark.parametrize(
    "passage",
    [
        *("Давайте. Посчитаем: сумму; чисел", "это и есть ответ", "ಈಗ ನಾವು ಉತ್ತರವನ್ನು ಪಡೆಯುತ್ತೇವೆ", "હવે આપણે જવાબ શોધીએ"),
        *("ഇപ്പോൾ നമുക്ക് ഉത്തരം ലഭിക്കും", "ਹੁਣ ਅਸੀਂ ਜਵਾਬ ਲੱਭਾਂਗੇ", "አሁን መልሱን እናገኛለን እንሂድ", "ឥឡូវនេះយើងគណនា", "ຕອນນີ້ພວກເຮົາ"),
    ],
)
def test_passages_in_other_alphabets(passage: str) -> None:
    english = "Let us add the numbers and look at what we get. " * 5
    traces = pl.Series([f"{english}{passage}. {english}", english])
    assert switches(pl.Series(["What is it?"] * 2), traces).to_list() == [True, False]
