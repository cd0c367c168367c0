"""The built-in reward model as a scorer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from select2reason.cache import key_of
from select2reason.difficulty.reward import FAMILIAR, NgramModel, load_builtin
from select2reason.scoring.base import ScorerSpec
from select2reason.tokens import load_tokenizer

VERSION = 3  # raised whenever the features' code changes what a model says
_BATCH_ROWS = 2_048  # at once: a call prepares 130 patterns


@dataclass(frozen=True, slots=True)
class QuestionScorer:
    """Scores questions with a model that reads their gold answers beside them."""

    model: NgramModel

    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        """`difficulty` (Float64): expected 1 - pass rate; null for a question without words."""
        predicted = pl.Series("difficulty", self.model.predict(batch["question"], batch["gold"]))
        return pl.DataFrame(predicted.fill_nan(None))

    def close(self) -> None:
        """Nothing: the model is small."""


def feature_versions() -> tuple[object, ...]:
    """What the features of a question depend on beside it: this code, the tokenizer, Polars' patterns."""
    return VERSION, load_tokenizer().digest, pl.__version__


def builtin_spec() -> ScorerSpec:
    """The model shipped with the package: a linear model on hashed n-grams, fitted on pass rates (its CARD.md)."""
    model = load_builtin()
    return ScorerSpec(
        "difficulty-builtin",
        key_of(*feature_versions(), model.fingerprint),
        ("question", "gold"),
        {"difficulty": pl.Float64},
        _builtin,
        light=True,
        batch_rows=_BATCH_ROWS,
    )


def _builtin() -> QuestionScorer:
    return QuestionScorer(load_builtin())


def builtin_notes(scores: pl.DataFrame, questions: pl.Series) -> Iterator[str]:
    """Whether these questions are of a kind that the built-in model was not tested on; from a sample of them."""
    known = load_builtin().familiarity(questions)
    median = float(np.median(known[np.isfinite(known)])) if np.isfinite(known).any() else FAMILIAR
    if median < FAMILIAR:
        yield (
            f"these questions are unlike the English mathematics that the built-in difficulty was tested on (median "
            f"familiarity {median:.2f}, under {FAMILIAR}); --difficulty judge, or rollout and reward fit on a sample, "
            "rank them better: check with select2reason difficulty --labels COLUMN"
        )


def builtin_seen(questions: pl.Series) -> str:
    """What is to be known of its figures on labels: it keeps no list of the questions that it was fitted on."""
    return (
        "the built-in model was fitted on questions of DeepScaleR, MATH, Omni-MATH and GSM8K with their labels, which "
        "flatters these figures where they are among these; its card has those of questions that it never saw"
    )
