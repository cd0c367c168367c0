"""The judge of METHOD 2: a chat model is asked whether a question is difficult, and one token of its answer is read.

d = P("1") / (P("0") + P("1")), never from a list of the likeliest tokens alone: where an engine reports no more than
that, d has bounds, and stands only where they are close. `judge_mass` = P("0") + P("1") says how far the model answered
the question at all (METHOD 9.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.backends import BackendSettings, anywhere, gpus, gpus_each, open_backend
from select2reason.backends.base import Backend, LabelLogprobs, Message
from select2reason.cache import key_of
from select2reason.errors import UsageError
from select2reason.scoring.base import ScorerSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAPER_MODEL = "Qwen/Qwen2.5-1.5B-Instruct"  # METHOD 2: the official default
PAPER_SYSTEM = "Please judge the difficulty of this instruction and return 1 if difficult or 0 if not."  # METHOD 2
LABELS = ("0", "1")
CLOSE = 0.02  # bounds of d this near each other are worth their middle: it is right within 0.01
VERSION = 1  # raised whenever this code changes what a judge says
_TEMPLATE_TOKENS, _CHARS_PER_TOKEN = 10, 4  # of a chat's marks; of English: for the plan alone
_LITTLE_MASS = 0.5
_EDGE, _SATURATED = 0.01, 0.9  # d this near 0 or 1 says yes or no only; a judge that says mostly that hardly ranks
OUTPUTS = {"difficulty": pl.Float64, "judge_mass": pl.Float64, "judge_low": pl.Float64, "judge_high": pl.Float64}


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """What the judge is told: a system turn (empty: none), and a user turn that holds `{question}`."""

    system: str = PAPER_SYSTEM
    user: str = "{question}"

    def __post_init__(self) -> None:
        if "{question}" not in self.user:
            raise UsageError("--judge-prompt must hold {question}, where the question is to stand")

    def about(self, question: str) -> list[Message]:
        """The chat that asks about one question."""
        asked: Message = {"role": "user", "content": self.user.replace("{question}", question)}
        return [{"role": "system", "content": self.system}, asked] if self.system else [asked]


@dataclass(frozen=True, slots=True)
class JudgeScorer:
    """Asks the judge about each question of a batch."""

    backend: Backend
    prompt: JudgePrompt

    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        """OUTPUTS; all null for a blank question and for one that the engine could not score."""
        questions = batch["question"].fill_null("")
        asked = np.flatnonzero((questions.str.strip_chars() != "").to_numpy())
        bounds = np.full((2, batch.height, len(LABELS)), np.nan)
        if len(asked):
            found = self.backend.label_logprobs([self.prompt.about(q) for q in questions.gather(asked)], LABELS)
            bounds[:, asked] = found.low, found.high
        return judged(LabelLogprobs(bounds[0], bounds[1]))

    def close(self) -> None:
        """Let go of the model."""
        self.backend.close()


def judged(logprobs: LabelLogprobs) -> pl.DataFrame:
    """OUTPUTS from the labels' bounds, (questions, 2) in the order of LABELS."""
    (low_0, low_1), (high_0, high_1) = logprobs.low.T, logprobs.high.T
    low, high = _share(low_1, high_0), _share(high_1, low_0)
    close = high - low <= CLOSE
    mass = np.exp(low_0) + np.exp(low_1)
    columns = {
        "difficulty": np.where(close, (low + high) / 2, np.nan),
        "judge_mass": mass if logprobs.mass_known else np.full_like(mass, np.nan),
        "judge_low": low,
        "judge_high": high,
    }
    return pl.DataFrame(columns).fill_nan(None)


def _share(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """e^one / (e^one + e^other); without a word on either, anything is possible and the caller's bound decides."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(other - one)))


def judge_spec(settings: BackendSettings, prompt: JudgePrompt) -> ScorerSpec:
    """The judge as a scorer of distinct questions; several GPUs get one model each."""
    return ScorerSpec(
        "judge",
        key_of(VERSION, settings.fingerprint, prompt.system, prompt.user, LABELS),
        ("question",),
        OUTPUTS,
        partial(_make, anywhere(settings), prompt),
        threads=2,  # one batch is rendered while the other is computed
        distinct=True,
        workers=partial(gpus, settings),
        gpus=partial(gpus_each, anywhere(settings)),
        served=settings.kind == "openai",
        prompt_tokens=_TEMPLATE_TOKENS + len(prompt.system + prompt.user) // _CHARS_PER_TOKEN,
    )


def _make(settings: BackendSettings, prompt: JudgePrompt) -> JudgeScorer:
    return JudgeScorer(open_backend(settings), prompt)


def judge_notes(scores: pl.DataFrame) -> Iterator[str]:
    """What a reader of judge scores must know before trusting them; one line each."""
    given, mass = scores["difficulty"].drop_nulls(), scores["judge_mass"].drop_nulls()
    loose = scores.filter(pl.col("difficulty").is_null() & pl.col("judge_low").is_not_null()).height
    if loose:
        yield (
            f"for {loose:,} of {scores.height:,} questions the server's list of likely tokens leaves d open by more "
            f"than {CLOSE}; use an engine that reports every token (--backend vllm or transformers)"
        )
    if unasked := scores["judge_low"].null_count():
        yield f"{unasked:,} questions could not be judged: blank, too long for the model, or no usable reply"
    median = mass.median()
    if isinstance(median, float) and median < _LITTLE_MASS:
        yield (
            f"the judge puts a median of {median:.1%} of its probability on 0 and 1, so it hardly answers what it is "
            "asked; use a stronger --model, and check it against labels: select2reason difficulty --labels COLUMN"
        )
    if len(given) and (share := ((given < _EDGE) | (given > 1 - _EDGE)).mean()) and float(str(share)) > _SATURATED:
        yield f"{float(str(share)):.0%} of the judge's scores are within {_EDGE} of 0 or 1, so they rank little"
