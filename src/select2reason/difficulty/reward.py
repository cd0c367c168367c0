"""The small reward model of METHOD 2: a question's expected 1 - pass rate, from its wording and the look of its answer.

Three steps: linear models on hashed token n-grams (one per label set: pass rates, MATH levels, ...), small trees over
their outputs and counted features, a monotone map to [0, 1]. Trees of their own score the questions whose gold answer
is known: the paper's model reads the question alone, and how large or how involved the answer is tells much more
(CARD.md). Predicting needs NumPy, Polars and the built-in tokenizer. It does not read traces, does not solve anything,
and is no judge outside mathematics. `fitting.py` makes such models.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from select2reason.difficulty.boosting import Trees
from select2reason.difficulty.features import (
    ANSWER_FEATURES,
    FEATURES,
    HASH_BITS,
    Bags,
    answer_features,
    clean,
    encode,
    hand_features,
    ngram_bags,
    plain_answers,
    strip_tail,
)
from select2reason.errors import UsageError
from select2reason.files import ARRAY_DAMAGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 3  # raise it when features change: older weights would then mean something else
FAMILIAR = 0.62  # median familiarity from which the built-in model knows a pool's kind of questions (CARD.md)
_WEIGHTS = "weights.npz"
_HEADS = ("alone", "answered")
_CHUNK = 4096  # questions at once: their n-grams take some 30 MB


@dataclass(frozen=True, slots=True)
class Head:
    """The last two steps: trees, and the map of their sum to an expected 1 - pass rate."""

    trees: Trees
    knots: NDArray[np.float32]  # (2, n) ascending: the trees' sum, the expected 1 - pass rate

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """(rows,) in [0, 1] for (rows, inputs)."""
        return np.asarray(np.clip(np.interp(self.trees.predict(inputs), self.knots[0], self.knots[1]), 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class NgramModel:
    """A fitted model; `fitting.fit` makes one, `load_builtin` opens the one shipped with the package."""

    buckets: NDArray[np.int32]  # (kept,) ascending hash buckets that carry weight; the others count for the norm alone
    rarity: NDArray[np.float16]  # (kept,) inverse document frequency
    rarity_unseen: float
    weights: NDArray[np.int8]  # (kept, tasks), each column times its scale
    scale: NDArray[np.float32]  # (tasks,)
    hand_mean: NDArray[np.float32]  # (features,)
    hand_spread: NDArray[np.float32]  # (features,)
    hand_weights: NDArray[np.float32]  # (features, tasks)
    intercept: NDArray[np.float32]  # (tasks,)
    tasks: tuple[str, ...]
    alone: Head  # for questions alone
    answered: Head | None = None  # for questions with a gold answer; its inputs end with ANSWER_FEATURES

    def predict(self, questions: pl.Series, golds: pl.Series | None = None) -> NDArray[np.float64]:
        """Expected 1 - pass rate in [0, 1], 1 = hardest, in order; NaN for an empty or null question.

        `golds` (null = unknown) are gold answers, row for row; without one a question is scored from its wording.
        """
        blank = pl.repeat(None, len(questions), dtype=pl.String, eager=True)
        golds = blank if golds is None or self.answered is None else golds
        cuts = range(0, len(questions), _CHUNK)
        parts = [self._predict(questions.slice(start, _CHUNK), golds.slice(start, _CHUNK)) for start in cuts]
        return np.concatenate([np.empty(0), *parts])

    def familiarity(self, questions: pl.Series) -> NDArray[np.float64]:
        """Share of each question's n-grams that the model has weights for, in order; NaN for an empty or null question.

        Corrected for chance: other n-grams fall into known buckets too, and 0 is what they alone would give. Compare
        the median of a sample of some hundred questions with FAMILIAR; single questions scatter by 0.1. The constant
        is for models of some 10,000 questions: one of few questions knows few n-grams, so compare it with its own.
        """
        cleaned = clean(strip_tail(questions))
        there = np.flatnonzero((cleaned != "").to_numpy())
        shares = np.full(len(questions), np.nan)
        if len(there):
            bags = ngram_bags(encode(cleaned.gather(there)))
            known = np.isin(bags.buckets, self.buckets, kind="table")
            by_chance = len(self.buckets) / (1 << HASH_BITS)
            shares[there] = (
                np.add.reduceat(known, bags.offsets[:-1], dtype=float) / np.diff(bags.offsets) - by_chance
            ) / (1 - by_chance)
        return shares

    @property
    def fingerprint(self) -> str:
        """Names the weights: models with equal fingerprints give equal scores."""
        digest = hashlib.sha256()
        for name, array in sorted(self._arrays().items()):
            digest.update(name.encode() + str(array.dtype).encode() + array.tobytes())
        return digest.hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write the weights into `folder`; the same model gives the same bytes of content."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / _WEIGHTS, allow_pickle=False, **self._arrays())

    @classmethod
    def load(cls, folder: Path) -> NgramModel:
        """Open what `save` wrote. Raises UsageError where the folder holds no such model."""
        file = folder / _WEIGHTS
        if not file.is_file():
            raise UsageError(f"no {_WEIGHTS} in {folder}; give a folder that `select2reason reward fit` wrote")
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
                return _from_arrays(dict(stored))
        except ARRAY_DAMAGE as error:
            raise UsageError(f"{file} is no model of this version ({error}); fit it again") from error

    def _predict(self, questions: pl.Series, golds: pl.Series) -> NDArray[np.float64]:
        stripped = strip_tail(questions)
        there = np.flatnonzero((clean(stripped) != "").to_numpy())
        scores = np.full(len(questions), np.nan)
        if not len(there):
            return scores
        inputs, answers = self.inputs(stripped.gather(there)), plain_answers(golds.gather(there))
        known = answers.is_not_null().to_numpy()
        if not known.all():
            scores[there[~known]] = self.alone.predict(inputs[~known])
        if known.any() and self.answered is not None:
            looks = answer_features(answers.filter(pl.Series(known)))
            scores[there[known]] = self.answered.predict(np.concatenate([inputs[known], looks], axis=1))
        return scores

    def inputs(self, stripped: pl.Series) -> NDArray[np.float32]:
        """What the trees see of non-empty questions without tails: every task's linear score, the counted features."""
        cleaned = clean(stripped)
        encoded = encode(cleaned)
        hand = standardise(hand_features(stripped, cleaned, np.diff(encoded.offsets)), self.hand_mean, self.hand_spread)
        linear = self._linear(ngram_bags(encoded)) + hand @ self.hand_weights + self.intercept
        return np.concatenate([linear, hand], axis=1)

    def _linear(self, bags: Bags) -> NDArray[np.float32]:
        place = places(self.buckets)[bags.buckets]
        known = place >= 0
        values = unit_rows(bags, np.where(known, self.rarity[place], np.float32(self.rarity_unseen)))
        values *= known
        sums = [np.add.reduceat(task.take(place, mode="wrap") * values, bags.offsets[:-1]) for task in self.weights.T]
        return np.asarray(np.stack(sums, axis=1) * self.scale)

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        heads = {name: getattr(self, name) for name in _HEADS}
        own = [f.name for f in fields(self) if f.name not in (*_HEADS, "tasks")]
        arrays = {name: np.asarray(getattr(self, name), order="C") for name in own}
        for name, head in heads.items():
            if head is not None:
                arrays[f"{name}_knots"] = head.knots
                arrays |= {f"{name}_{f.name}": np.asarray(getattr(head.trees, f.name)) for f in fields(Trees)}
        about = {"format": FORMAT, "tasks": self.tasks, "features": FEATURES, "answers": ANSWER_FEATURES}
        return arrays | {"about": np.asarray(json.dumps(about))}


@cache
def load_builtin() -> NgramModel:
    """The model shipped with the package; builtin/CARD.md says what it was fitted on and how well it does."""
    with as_file(files("select2reason.difficulty") / "builtin") as folder:
        return NgramModel.load(folder)


def places(buckets: NDArray[np.int32]) -> NDArray[np.int32]:
    """Where each of the 2^HASH_BITS buckets stands in `buckets`; -1 where it does not."""
    table = np.full(1 << HASH_BITS, -1, np.int32)
    table[buckets] = np.arange(len(buckets), dtype=np.int32)
    return table


def unit_rows(bags: Bags, rarity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Value of every entry: its rarity, each question's entries scaled to length 1."""
    norms = np.sqrt(np.add.reduceat(rarity * rarity, bags.offsets[:-1]))
    return np.asarray(rarity / np.repeat(norms, np.diff(bags.offsets)), np.float32)


def standardise(
    hand: NDArray[np.float64], mean: NDArray[np.float32], spread: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Features in units of their spread, held within 4: a freak question must not leave the range that was fitted."""
    return np.clip((hand - mean) / spread, -4, 4).astype(np.float32)


def _from_arrays(stored: dict[str, Any]) -> NgramModel:
    about = json.loads(str(stored.pop("about")))
    seen = [about["features"], about.get("answers")]
    if about["format"] != FORMAT or seen != [list(FEATURES), list(ANSWER_FEATURES)]:
        raise ValueError(f"format {about['format']}, this version reads {FORMAT}")
    for name in _HEADS:
        if f"{name}_knots" in stored:
            stored[name] = _head(stored, name)
    stored["rarity_unseen"] = float(stored["rarity_unseen"])
    stored["weights"] = np.asfortranarray(
        stored["weights"]
    )  # each task's end to end, for they are looked up one by one
    return NgramModel(**stored, tasks=tuple(about["tasks"]))


def _head(stored: dict[str, Any], name: str) -> Head:
    trees = {f.name: stored.pop(f"{name}_{f.name}") for f in fields(Trees)}
    trees["base"] = float(trees["base"])
    return Head(Trees(**trees), stored.pop(f"{name}_knots"))
