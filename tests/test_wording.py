"""Questions as words: the same whatever their typesetting; grams by hand; hashes that never change."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest

from select2reason import wording


def asked(questions: Sequence[str | None]) -> pl.Series:
    return wording.asked(pl.Series(questions, dtype=pl.String))


def same_words(*questions: str) -> bool:
    found = wording.words(asked(questions))
    rows = [found.hashes[a:b].tolist() for a, b in zip(found.starts[:-1], found.starts[1:], strict=True)]
    return all(row == rows[0] for row in rows)


@pytest.mark.parametrize(
    "questions",
    [
        (r"Find $\frac{1}{2}x$.", r"find \( \dfrac12 x \)", "FIND $\\tfrac 1 2 \\, x$ ?"),
        (r"If $x \geq 1{,}000$", "if x ≥ 1000", r"If $x\geqslant 1,000$"),
        (r"Let $\left(a, b\right)$ be", "let (a,b) be"),
        (r"\text{The angle } \angle ABC is $90^\circ$", r"the angle ∠ABC is 90°".replace("°", "^\\degree")),
        ("What is it? Let's think step by step and output the final answer within \\boxed{}.", "what is it"),
        ("What is it?\nPlease reason step by step, and put your final answer within \\boxed{}.", "what is it"),
        ("已知函数 f(x)，求", "已知函数f(x)求"),
        (r"$3\times4$", "3 × 4", r"3\cdot 4"),
    ],
)
def test_typesetting_does_not_matter(questions: tuple[str, ...]) -> None:
    assert same_words(*questions)


@pytest.mark.parametrize(
    ("a", "b"),
    [("x + 1", "x - 1"), ("find 12", "find 1 2"), ("sine", "cosine"), ("মূল", "মূলের"), ("一二", "二一")],
)
def test_words_matter(a: str, b: str) -> None:
    assert not same_words(a, b)


def test_grams_by_hand() -> None:
    found = wording.words(asked(["a b c d e", "a b c d", "a b", "", None, "x + y = 3 z"]))
    assert wording.grams(found).sizes.tolist() == [2, 1, 1, 0, 0, 1]
    assert wording.grams(found, masked=True).sizes.tolist() == [2, 1, 1, 0, 0, 3]  # operators are words there
    grams = wording.grams(found)
    assert set(grams.hashes[grams.rows == 1].tolist()) < set(grams.hashes[grams.rows == 0].tolist())


def test_masked_grams_are_the_same_whatever_the_numbers() -> None:
    found = wording.words(asked(["Add 3 and 4 to it", "Add 17 and 5 to it"]))
    masked, plain = wording.grams(found, masked=True), wording.grams(found)
    assert masked.hashes[: masked.starts[1]].tolist() == masked.hashes[masked.starts[1] :].tolist()
    assert plain.hashes[: plain.starts[1]].tolist() != plain.hashes[plain.starts[1] :].tolist()


def test_signs_of_a_script_without_spaces_make_longer_grams() -> None:
    found = wording.words(asked(["已知函数的取值范围", "abc def ghi jkl mno"]))
    assert found.spaceless.tolist() == [True, False]
    assert wording.grams(found).sizes.tolist() == [9 - wording.GRAM_SIGNS + 1, 5 - wording.GRAM_WORDS + 1]


def test_hashes_never_change() -> None:
    """They are compared with those of the benchmarks, which ship with the program."""
    found = wording.words(asked(["Find the sum of 3 and x."]))
    assert found.hashes[0] == 1551690160513823331
    assert wording.grams(found).hashes.tolist() == [1725579986076, 12857362270763, 17377653170327, 17492681749971]


def test_plain() -> None:
    same = ["Find  $x+1$.", "find \\( x + 1 \\)?", "Find $\\left x+1 \\right$"]
    assert wording.plain(asked(same)).n_unique() == 1
    for unlike in (["x+1", "x-1"], ["digits of 100!", "digits of 100"], ["add 1 12", "add 11 2"]):
        assert wording.plain(asked(unlike)).n_unique() == 2
    assert wording.plain(asked(["Think step by step."])).to_list() == ["thinkstepbystep"]  # nothing else is asked
