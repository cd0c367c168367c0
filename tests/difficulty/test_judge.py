"""The judge: d by hand, what is null, what the official script got wrong, and what is said about weak judges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from select2reason.backends import BackendSettings
from select2reason.backends.base import Completion, Done, LabelLogprobs, Messages, Sampling
from select2reason.backends.openai import label_bounds
from select2reason.difficulty.judge import PAPER_SYSTEM, JudgePrompt, JudgeScorer, judge_notes, judge_spec, judged
from select2reason.errors import UsageError

TEMPLATE = JudgePrompt()


def logprobs(low: Sequence[Sequence[float]], high: Sequence[Sequence[float]] | None = None) -> LabelLogprobs:
    with np.errstate(divide="ignore"):
        return LabelLogprobs(np.log(np.array(low)), np.log(np.array(low if high is None else high)))


@dataclass
class Told:
    """A backend that says what it is told, and remembers what it was asked."""

    p_one: float = 0.3
    asked: list[Messages] = field(default_factory=list)
    closed: int = 0

    def label_logprobs(self, prompts: Sequence[Messages], labels: Sequence[str]) -> LabelLogprobs:
        assert tuple(labels) == ("0", "1")
        self.asked += prompts
        return logprobs([[0.1, self.p_one]] * len(prompts))

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, *, done: Done | None = None
    ) -> list[list[Completion]]:
        raise AssertionError("a judge does not answer")

    def close(self) -> None:
        self.closed += 1


def test_d_and_mass_by_hand() -> None:
    found = judged(logprobs([[0.1, 0.3], [0.04, 0.01], [0.5, 0.5]]))
    assert found["difficulty"].to_list() == pytest.approx([0.75, 0.2, 0.5])
    assert found["judge_mass"].to_list() == pytest.approx([0.4, 0.05, 1.0])
    assert found["judge_low"].to_list() == pytest.approx(found["judge_high"].to_list())


def test_probabilities_too_small_for_a_float_still_have_a_ratio() -> None:
    exact = np.array([[-900.0, -900.0 + math.log(3)]])
    tiny = LabelLogprobs(exact, exact)
    assert judged(tiny)["difficulty"].to_list() == pytest.approx([0.75])
    assert judged(tiny)["judge_mass"].to_list() == pytest.approx([0.0])


def test_close_bounds_are_worth_their_middle_and_wide_ones_are_null() -> None:
    found = judged(logprobs([[0.0, 0.97], [0.0, 0.3]], [[0.001, 0.97], [0.1, 0.4]]))
    assert found["difficulty"].to_list() == [pytest.approx((0.97 / 0.971 + 1) / 2), None]
    assert found["judge_low"].to_list() == pytest.approx([0.97 / 0.971, 0.3 / 0.4])
    assert found["judge_high"].to_list() == pytest.approx([1.0, 1.0])


def test_what_was_not_scored_is_null_in_every_column() -> None:
    nothing = np.full((1, 2), np.nan)
    assert judged(LabelLogprobs(nothing, nothing)).row(0) == (None, None, None, None)


@pytest.mark.parametrize(
    ("top_two", "whole", "official"),
    [
        ({"Yes": 0.6, "1": 0.3}, {"Yes": 0.6, "1": 0.3, "0": 0.05}, 0.333),
        ({"0": 0.55, "The": 0.3}, {"0": 0.55, "The": 0.3, "1": 0.15}, 0.0),
        ({"Yes": 0.6, "No": 0.3}, {"Yes": 0.6, "No": 0.3, "0": 0.02, "1": 0.06}, 0.0),
    ],
)
def test_a_list_of_two_likely_tokens_never_passes_for_the_whole(
    top_two: dict[str, float], whole: dict[str, float], official: float
) -> None:
    """The official script divides by whatever two tokens came back: .333, 0 and 0 where the definition gives others."""
    truth = whole["1"] / (whole["0"] + whole["1"])
    assert truth != pytest.approx(official, abs=0.1)
    pairs = [(token, math.log(share)) for token, share in top_two.items()]
    bounds = np.array([label_bounds(pairs, label) for label in ("0", "1")])
    found = judged(LabelLogprobs(bounds[None, :, 0], bounds[None, :, 1]))
    assert found["difficulty"].to_list() == [None]
    assert found["judge_low"][0] - 1e-9 <= truth <= found["judge_high"][0] + 1e-9


def test_blank_questions_are_not_asked_and_order_is_kept() -> None:
    backend = Told()
    scored = JudgeScorer(backend, TEMPLATE).score(pl.DataFrame({"question": ["a", None, "  ", "b"]}))
    assert scored["difficulty"].to_list() == [pytest.approx(0.75), None, None, pytest.approx(0.75)]
    assert [chat[-1]["content"] for chat in backend.asked] == ["a", "b"]
    assert backend.asked[0][0] == {"role": "system", "content": PAPER_SYSTEM}


def test_nothing_to_ask_is_no_request() -> None:
    backend = Told()
    scored = JudgeScorer(backend, TEMPLATE).score(pl.DataFrame({"question": [None, ""]}, {"question": pl.String}))
    assert scored["difficulty"].to_list() == [None, None]
    assert backend.asked == []


def test_the_prompt_can_be_changed_and_is_part_of_the_scores_name(tmp_path: Path) -> None:
    assert JudgePrompt("", "Hard? {question}").about("2 {x}") == [{"role": "user", "content": "Hard? 2 {x}"}]
    engine = BackendSettings("openai", "m", base_url="http://a/v1")
    other = BackendSettings("openai", "n", base_url="http://a/v1")
    prompts = [JudgePrompt(), JudgePrompt("Be strict."), JudgePrompt(user="{question}?")]
    names = {judge_spec(one, prompt).fingerprint for one in (engine, other) for prompt in prompts}
    assert len(names) == 6
    assert judge_spec(engine, JudgePrompt()).fingerprint == judge_spec(engine, JudgePrompt()).fingerprint


def test_a_prompt_without_the_question_is_refused() -> None:
    with pytest.raises(UsageError, match=r"must hold \{question\}"):
        JudgePrompt(user="Is it hard?")


def scores(d: Sequence[float | None], mass: Sequence[float | None]) -> pl.DataFrame:
    columns = {"difficulty": d, "judge_mass": mass, "judge_low": d, "judge_high": d}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Float64))


def test_a_judge_that_does_not_answer_is_named() -> None:
    assert ["30.0%" in note for note in judge_notes(scores([0.2, 0.5, 0.7], [0.1, 0.3, 0.9]))] == [True]
    assert list(judge_notes(scores([0.2, 0.5, 0.7], [0.6, 0.7, 0.9]))) == []


def test_a_judge_that_says_yes_or_no_only_is_named() -> None:
    saturated = [0.001] * 12 + [0.999] * 8
    assert ["within 0.01 of 0 or 1" in note for note in judge_notes(scores(saturated, [1.0] * 20))] == [True]
    assert list(judge_notes(scores([0.001] * 10 + [0.5] * 10, [1.0] * 20))) == []


def test_what_is_missing_is_counted() -> None:
    table = scores([0.5, None, None], [0.9, None, 0.9]).with_columns(judge_low=pl.Series([0.5, None, 0.2]))
    notes = list(judge_notes(table))
    assert "1 of 3 questions the server's list" in notes[0]
    assert "1 questions could not be judged" in notes[1]
