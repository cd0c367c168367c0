r"""Votes by meaning, on one grader: equal answers vote together, and nobody looks at the gold answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from select2reason.evaluation.majority import Majority, majorities
from select2reason.grading import Grader

HALF = [r"\frac{1}{2}", "0.5", "1/2", r"\dfrac12"]


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(1, timeout_s=20) as grader:
        yield grader


def test_eleven_halves_in_four_writings_beat_five_twos(grader: Grader) -> None:
    samples = ["2"] * 5 + [HALF[n % 4] for n in range(11)]
    (found,) = majorities([samples], grader)
    assert found == Majority(sample=5, votes=11)
    assert samples[found.sample] == r"\frac{1}{2}"


@pytest.mark.parametrize(
    ("samples", "sample", "votes"),
    [
        (["3", "4", "4"], 1, 2),
        (["3", "4"], 0, 1),  # as many: whose first sample came first
        (["7", r"2\sqrt{2}", r"\sqrt{8}"], 1, 2),
        ([None, "5", None], 1, 1),  # no answer, no vote
        ([r"x^2+2x+1", "(x+1)^2", "x^2+1", "(1+x)^2"], 0, 3),
        (["(1,2)", "(2,1)", "1,2"], 0, 2),
        (["B", "(B)", "C", r"\text{C}", "C."], 2, 3),
        (["10", "10.0", " 10 ", "100"], 0, 3),
    ],
)
def test_votes_by_hand(samples: list[str | None], sample: int, votes: int, grader: Grader) -> None:
    assert majorities([samples], grader) == [Majority(sample, votes)]


def test_none_where_nobody_answered(grader: Grader) -> None:
    assert majorities([[None, ""], [], ["1"]], grader) == [None, None, Majority(0, 1)]


def test_order_changes_ties_alone(grader: Grader) -> None:
    samples = [*HALF, "2", "2", "3"]
    ahead, behind = majorities([samples, samples[::-1]], grader)
    assert ahead is not None and behind is not None
    assert samples[ahead.sample] in HALF and samples[::-1][behind.sample] in HALF
    assert ahead.votes == behind.votes == 4
