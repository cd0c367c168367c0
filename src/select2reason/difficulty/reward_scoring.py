"""A fitted reward model as a scorer of questions: --difficulty reward:DIR (METHOD 2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl

from select2reason.cache import key_of
from select2reason.difficulty.builtin import feature_versions
from select2reason.difficulty.reward_folder import HF, RewardModel, SavedReward, read_reward
from select2reason.scoring.base import ScorerSpec

_VERSION = 2  # raised whenever this code changes what a reward model says


@dataclass(frozen=True, slots=True)
class RewardScorer:
    """Scores questions with a model that was fitted on pass rates."""

    model: RewardModel

    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        """`difficulty` (Float64): expected 1 - pass rate; null for a blank question."""
        golds = batch.get_column("gold", default=None)
        return pl.DataFrame(pl.Series("difficulty", self.model.predict(batch["question"], golds)).fill_nan(None))

    def close(self) -> None:
        """Let go of the model."""
        self.model.close()


def reward_spec(folder: Path) -> ScorerSpec:
    """The model of a folder; one of n-grams keeps up with the reading, a language model is given each question once,
    and every GPU holds one. Raises UsageError where the folder holds no reward model."""
    saved = read_reward(folder)
    slow = saved.about["kind"] == HF
    return ScorerSpec(
        "difficulty-reward",
        key_of(_VERSION, saved.fingerprint, *(() if slow else feature_versions())),
        ("question",) if slow else ("question", "gold"),
        {"difficulty": pl.Float64},
        partial(_make, replace(saved, folder=saved.folder.absolute())),
        light=not slow,
        distinct=slow,
        workers=_gpus if slow else _one,
        gpus=_one if slow else None,
        prompt_tokens=0 if slow else None,
    )


def _make(saved: SavedReward) -> RewardScorer:
    return RewardScorer(saved.load())


def _gpus() -> int:
    from select2reason.backends.loading import gpu_count

    return max(1, gpu_count())


def _one() -> int:
    return 1
