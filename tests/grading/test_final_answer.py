r"""The final answer of a completion: which marker counts, and what is taken from it."""

from __future__ import annotations

import time

import pytest

from select2reason.grading import final_answer
from select2reason.tags import TAGS


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So \boxed{5}. I have boxed the answer", "5"),
        (r"\boxed{3}, no: \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\text{a set } \{x\}}", r"\text{a set } \{x\}"),
        (r"\fbox{7}", "7"),
        (r"\boxed 5.", "5"),
        (r"I put it into \(\boxed\): \[ \boxed{x \neq -2} \]", r"x \neq -2"),
        (r"\boxed{ 5 }", "5"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{x = \boxed{5}}", "5"),
        (r"\boxed{4} and then it was cut off: \boxed{\frac{1", "4"),
        (r"Put it into \boxed{}. It is \boxed{6}, as \boxed{} asks.", "6"),
        (r"\boxed{-2} \quad \text{and} \quad \boxed{1}.", "-2, 1"),
        (r"$x = \boxed{2}$ or $x = \boxed{3}$", "2, 3"),
        (r"\boxed{5}. So again \boxed{5}", "5"),
        (r"I write \(\boxed{\)}, \boxed{78}", "78"),
        ("\\boxed{1} is wrong.\n\n\\boxed{2}", "2"),
        (r"\boxed{255} was one step. The final answer is $10,455$. I hope it is correct.", "10,455"),
    ],
)
def test_boxes(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 5.", "5"),
        ("The correct answer is **C: 5 m**.\n\nOther options are incorrect: A is too short, B too long.", "C: 5 m"),
        ("The answer is (B).\n\nThe other answers are wrong because the sum is odd.", "(B)"),
        ("The answer is 2.5. That is all", "2.5"),
        (r"The final answer is $\frac{1}{2}$. I hope it is correct.", r"\frac{1}{2}"),
        ("The answer to the question is **(B)**.", "(B)"),
        ("**Answer:** 12 apples\n\nDone.", "12 apples"),
        ("**Final Answer**\n\n\\[ x=5 \\]", "x=5"),
        ("Each has 3.\n#### 540", "540"),
        ("So 3 x 4 = 12\nA: 12", "12"),
        ("<answer>42</answer>", "42"),
        ("故答案为：12。", "12"),
        ("所以答案是 B", "B"),
        ("Adding up:\n\n42", "42"),
        ("Adding up:\n$x^2$.", "x^2"),
        ("(C)", "(C)"),
        ("The answer is 5. No, the answer is 6.", "6"),
        ("【答案】C\n【解析】因为若选A，则不成立。", "C"),
        ("**答案**：12", "12"),
        ("综上，故选：ACD", "ACD"),
        ("所以应选B。", "B"),
        ("本题答案选择C", "C"),
        ("答案是 5。\n检验：若选A，则成立。", "5"),
        ("答案：3，理由如下", "3"),
        ("Hence option C is correct.", "C"),
        ("The answer is 12.\n\nCheck: if we choose A, we get 3.", "12"),
        ("n choose k\n12", "12"),
        ("Answer: 12\n\nThe answer is important because it is even.", "12"),
        ("The answer is found below.\n\n## Problem\nx\n\nThe answer is 2.", "2"),
        ("So.\n#### B", "B"),
        ("He gets 9 + 9 = 18. #### 18", "18"),
        ("Thus 2 #### 3. Next we say nothing.", None),
        ("So.\n#### **5**", "5"),
        ("#### 1. Compute\nAnswer: 5\n#### 2. Verify\nIt holds.", "5"),
        ("The answer is approximately 3.14.", "3.14"),
        ("The answer is -5, not 5.", "-5"),
        ("<answer>\n(1) Ann is a knight\n(2) Bob is a knave\n</answer>", "(1) Ann is a knight (2) Bob is a knave"),
        ("Answer: 106\n\n## Question:\nAnd then?\nAnswer: 42", "106"),
    ],
)
def test_said_in_words(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"reasoning": "3 + 4", "answer": "7"}', "7"),
        ('{"reasoning": "\\\\boxed{3}", "answer": "\\\\frac{1}{2}"}', r"\frac{1}{2}"),
        ('{"reasoning": "3 + 4",\n "answer": 7\n}', "7"),
        ('{"answer": 7, "why": "3 + 4"}', "7"),
        ('{"answer": "$\\boxed{8}$"}', "8"),
        ('{"reasoning": "the answer is 9", "answer": ""}', None),
        ('{"answer": null}', None),
        ('{"answer": "___"}', None),
        ('{"answer": 0.50}', "0.50"),
        ('{"answer": "5", "work": "so \\\\boxed{6}"}', "5"),
        ('{"answer": ["A", "C"]}', "A, C"),
        (r'\"answer\\": \"52\"', "52"),
        ('`answer`: "5"', "5"),
        ('{"answer": "2\\u221a3", "why": ', "2√3"),
        ('{"answer": "106"}\n\n## Question:\nWhat?\n{"answer": "___"}', "106"),
        ('answer": "42"', "42"),
    ],
)
def test_json_field(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    "text", ["", "He ran 42 meters.", "## Step 3: add", "I do not know.", r"\boxed{12", "Is it 5 or 6?", "{" * 50]
)
def test_none_where_there_is_none(text: str) -> None:
    assert final_answer(text) is None


@pytest.mark.parametrize(("opening", "closing"), TAGS, ids=[opening for opening, _ in TAGS])
def test_only_outside_the_think_block(opening: str, closing: str) -> None:
    assert final_answer(rf"{opening}\boxed{{3}}{closing}So \boxed{{4}}") == "4"
    assert final_answer(rf"\boxed{{3}}{closing}The answer is 4.") == "4"
    assert final_answer(rf"{opening}\boxed{{3}}{closing}I cannot say") is None
    assert final_answer(rf"{opening}Wait, \boxed{{3}}. The answer is 3.") is None


def test_nothing_behind_the_end_of_the_turn() -> None:
    assert final_answer("\\boxed{4}<|im_end|>\n<|im_start|>user\nAnd \\boxed{5}?") == "4"


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{" * 100_000,
        "{" * 500_000,
        r"\boxed{1} and " * 30_000,
        "the answer is " * 30_000,
        "The answer is 5." + "\n" * 200_000,
        "The answer is 5." + " \n" * 100_000 + "So.",
        r"\boxed{1}" + " , 第一空:" * 12 + r"x \boxed{2}",
        '"answer": 5' + " " * 100_000 + "x",
    ],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    start = time.perf_counter()
    final_answer(text)
    assert time.perf_counter() - start < 5
