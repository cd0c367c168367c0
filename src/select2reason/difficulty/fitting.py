"""Fits the small difficulty model of `reward.py` (METHOD 2's reward model) in NumPy alone.

Each label set gets its own ridge regression on hashed n-grams and counted features. Their scores on questions that they
did not see (cross-fitting, by question) become the inputs of the trees, so that the trees learn how far to trust each.
Labels of the nearest questions, found by rare n-grams, as further inputs of the trees gave 0.002 to 0.004 of Spearman
for 1.6 MB and half the speed, and were left out. Nothing here measures quality: hold questions out before calling `fit`
(benchmarks/fit_builtin_difficulty.py does).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from select2reason.difficulty.boosting import Growth, grow
from select2reason.difficulty.features import (
    Bags,
    answer_features,
    clean,
    encode,
    hand_features,
    ngram_bags,
    plain_answers,
    strip_tail,
)
from select2reason.difficulty.reward import Head, NgramModel, places, standardise, unit_rows
from select2reason.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAIN = "difficulty"
_STEPS = 100  # of conjugate gradients; most fits are close after 20
_CLOSE = 1e-4  # of the first squared residual; 1e-6 took twice as long and gained nothing
_CUTS = (0.1, 0.3, 0.5, 0.8, 0.99)
_ODDS_EDGE = 0.02  # some two of 128 answers: keeps the odds of 0 and 1 finite
_KNOTS = 20
_KEPT_RANGE = 0.9999  # of the weights lie within the 8-bit range; the rest are held at its ends
_FEWEST = 20  # labelled questions: with fewer, five folds leave too little to learn from
_FEWEST_ANSWERED = 100  # of them with a gold answer, for a head of its own


@dataclass(frozen=True, slots=True)
class Settings:
    """Chosen by cross-validation over questions on DeepScaleR and MATH pass rates."""

    ridge: float = 1.5
    ridge_small: float = 3.0  # for label sets under `small` questions
    small: int = 3000
    hand_share: float = 0.1  # weight of a counted feature beside the n-grams, whose rows have length 1
    folds: int = 5
    least_questions: int = 3  # an n-gram seen in fewer carries no weight: 2 nearly doubled the file for +0.0005
    growth: Growth = field(default_factory=Growth)


@dataclass(frozen=True, slots=True)
class _Design:
    """Rows of n-gram values and counted features, in the order of the questions."""

    bags: Bags
    values: NDArray[np.float32]  # (entries,), 0 for an n-gram that carries no weight
    places: NDArray[np.int32]  # (entries,) column of each entry
    columns: int
    hand: NDArray[np.float32]  # (questions, features)

    def take(self, rows: NDArray[np.int64]) -> _Design:
        """The design of `rows`, in that order."""
        index = self.bags.entries(rows)
        bags = self.bags.take(rows)
        return replace(self, bags=bags, values=self.values[index], places=self.places[index], hand=self.hand[rows])

    def times(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(questions,) for a vector over columns, then features."""
        products = self.values * x[: self.columns].astype(np.float32)[self.places]
        return np.add.reduceat(products, self.bags.offsets[:-1]).astype(np.float64) + self.hand @ x[self.columns :]

    def transposed_times(self, r: NDArray[np.float64], question: NDArray[np.int64]) -> NDArray[np.float64]:
        """(columns + features,) for a vector over questions."""
        sums = np.bincount(self.places, weights=self.values * r[question], minlength=self.columns)
        return np.concatenate([sums, r @ self.hand])


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    buckets: NDArray[np.int32]
    rarity: NDArray[np.float16]
    rarity_unseen: float
    hand_mean: NDArray[np.float32]
    hand_spread: NDArray[np.float32]


def fit(
    questions: pl.Series,
    difficulty: NDArray[np.float64],
    *,
    golds: pl.Series | None = None,
    auxiliary: Mapping[str, NDArray[np.float64]] | None = None,
    source: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
    settings: Settings | None = None,
    seed: int = 0,
) -> NgramModel:
    """Learn `difficulty` (1 - pass rate, NaN = no label) and any `auxiliary` labels (any scale, NaN = none).

    With `golds`, gold answers (null = unknown), it learns from their look too, where enough labelled rows have one.
    `source` 0 is the set whose scale the predictions take; other sources are shifted to it. Rows of one group never
    stand on both sides of a cross-fit (default: equal cleaned text). Raises UsageError where too little is labelled.
    """
    settings = settings or Settings()
    stripped = strip_tail(questions)
    keep = np.flatnonzero((clean(stripped) != "").to_numpy())
    stripped = stripped.gather(keep)
    labels = {MAIN: np.asarray(difficulty, np.float64)[keep]}
    labels |= {name: np.asarray(values, np.float64)[keep] for name, values in (auxiliary or {}).items()}
    if np.isfinite(labels[MAIN]).sum() < _FEWEST:
        raise UsageError(f"a difficulty model needs at least {_FEWEST} questions with a pass rate")
    if not _varies(labels[MAIN]):
        raise UsageError("all these questions have the same pass rate: there is nothing to learn from them")
    fold = _folds(clean(stripped).rank("dense").to_numpy() if groups is None else groups[keep], settings.folds, seed)
    vocabulary, design = _design(stripped, settings)
    source = np.zeros(len(keep), np.int64) if source is None else source[keep]
    tasks = _views(np.where(source == 0, labels[MAIN], np.nan)) | {k: v for k, v in labels.items() if k != MAIN}
    solutions, held_out = _cross_fit(design, tasks, fold, settings)
    inputs = np.concatenate([held_out, design.hand / np.float32(settings.hand_share)], axis=1)
    target = _on_one_scale(labels[MAIN], held_out[:, 0], source)
    alone = _head(inputs, target, fold, settings, seed)
    answered = None if golds is None else _answered(golds.gather(keep), inputs, target, fold, settings, seed)
    return _assemble(vocabulary, solutions, tuple(tasks), alone, answered, settings)


def _views(difficulty: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The main label and bent copies of it: linear models of each, together, let the trees bend (Spearman +0.007)."""
    odds = np.log((difficulty + _ODDS_EDGE) / (1 + _ODDS_EDGE - difficulty))
    views = {MAIN: difficulty, "odds": np.clip(odds, -4, 4), "middling": 4 * difficulty * (1 - difficulty)}
    unknown = np.isnan(difficulty)
    return views | {f"above_{cut}": np.where(unknown, np.nan, difficulty > cut) for cut in _CUTS}


def _folds(groups: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    _, group = np.unique(groups, return_inverse=True)
    return np.asarray(np.random.default_rng(seed).permutation(group.max() + 1)[group] % folds)


def _design(stripped: pl.Series, settings: Settings) -> tuple[_Vocabulary, _Design]:
    cleaned = clean(stripped)
    encoded = encode(cleaned)
    bags, hand = ngram_bags(encoded), hand_features(stripped, cleaned, np.diff(encoded.offsets))
    seen = np.bincount(bags.buckets)
    buckets = np.flatnonzero(seen >= settings.least_questions).astype(np.int32)
    rarity = (1 + np.log((1 + len(cleaned)) / (1 + seen[buckets]))).astype(np.float16)
    unseen = 1 + float(np.log((1 + len(cleaned)) / 2))
    mean, spread = hand.mean(axis=0).astype(np.float32), np.maximum(hand.std(axis=0), 1e-3).astype(np.float32)
    place = places(buckets)[bags.buckets]
    values = unit_rows(bags, np.where(place >= 0, rarity[place], np.float32(unseen))) * (place >= 0)
    hand_part = standardise(hand, mean, spread) * np.float32(settings.hand_share)
    vocabulary = _Vocabulary(buckets, rarity, unseen, mean, spread)
    return vocabulary, _Design(bags, values, np.maximum(place, 0), len(buckets), hand_part)


def _cross_fit(
    design: _Design, labels: Mapping[str, NDArray[np.float64]], fold: NDArray[np.int64], settings: Settings
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Weights from all questions (intercept first; one column a task), and every question's scores without its fold."""
    held_out = np.empty((len(fold), len(labels)), np.float32)
    solutions = []
    for task, label in enumerate(labels.values()):
        for part in range(settings.folds):
            rows = np.flatnonzero(fold == part)
            solution = _ridge(design, np.where(fold == part, np.nan, label), settings)
            held_out[rows, task] = solution[0] + design.take(rows).times(solution[1:])
        solutions.append(_ridge(design, label, settings))
    return np.stack(solutions, axis=1), held_out


def _ridge(design: _Design, label: NDArray[np.float64], settings: Settings) -> NDArray[np.float64]:
    """Intercept and weights by conjugate gradients; rows without a label are left out."""
    rows = np.flatnonzero(np.isfinite(label))
    design, mean = design.take(rows), label[rows].mean()
    question = design.bags.questions
    penalty = settings.ridge if len(rows) >= settings.small else settings.ridge_small
    residual = design.transposed_times(label[rows] - mean, question)
    x, direction = np.zeros_like(residual), residual
    square = start = residual @ residual
    for _ in range(_STEPS):
        if square <= _CLOSE * start:
            break
        image = design.transposed_times(design.times(direction), question) + penalty * direction
        step = square / (direction @ image)
        x, residual = x + step * direction, residual - step * image
        square, before = residual @ residual, square
        direction = residual + square / before * direction
    return np.concatenate([[mean], x])


def _on_one_scale(
    target: NDArray[np.float64], score: NDArray[np.float32], source: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Shift each source so that, against the same score, its mean is source 0's: models differ in strength."""
    gap = {int(s): np.nanmean((target - score)[source == s]) for s in np.unique(source[np.isfinite(target)])}
    return np.asarray(target - np.array([gap.get(int(s), 0.0) for s in source]) + gap[0])


def _head(
    inputs: NDArray[np.float32], target: NDArray[np.float64], fold: NDArray[np.int64], settings: Settings, seed: int
) -> Head:
    """Trees from all labelled questions; knots from one fold that trees grown without it had not seen."""
    labelled = np.isfinite(target)
    rest, aside = np.flatnonzero(labelled & (fold != 0)), np.flatnonzero(labelled & (fold == 0))
    trial = grow(inputs[rest], target[rest], settings.growth, seed=seed)
    knots = _knots(trial.predict(inputs[aside]), target[aside])
    return Head(grow(inputs[labelled], target[labelled], settings.growth, seed=seed), knots)


def _answered(
    golds: pl.Series,
    inputs: NDArray[np.float32],
    target: NDArray[np.float64],
    fold: NDArray[np.int64],
    settings: Settings,
    seed: int,
) -> Head | None:
    """The head that sees answers too, from the questions that have one; None where they are too few."""
    answers = plain_answers(golds)
    known = answers.is_not_null().to_numpy()
    if np.isfinite(target[known]).sum() < _FEWEST_ANSWERED or not _varies(target[known]):
        return None
    looks = answer_features(answers.filter(pl.Series(known)))
    return _head(np.concatenate([inputs[known], looks], axis=1), target[known], fold[known], settings, seed)


def _varies(labels: NDArray[np.float64]) -> bool:
    return bool(np.nanmin(labels) < np.nanmax(labels))


def _knots(raw: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float32]:
    """Means of raw score and target in equal groups, pooled until ascending; the ends reach 0 and 1 (no ties there)."""
    order = np.argsort(raw, kind="stable")
    blocks = [(raw[part].mean(), target[part].mean(), len(part)) for part in np.array_split(order, _KNOTS) if len(part)]
    pooled: list[tuple[float, float, int]] = []
    for block in blocks:
        pooled.append(block)
        while len(pooled) > 1 and pooled[-2][1] >= pooled[-1][1]:
            (x1, y1, n1), (x2, y2, n2) = pooled.pop(-2), pooled.pop()
            pooled.append(((x1 * n1 + x2 * n2) / (n1 + n2), (y1 * n1 + y2 * n2) / (n1 + n2), n1 + n2))
    inner = [(x, y) for x, y, _ in pooled if 0 < y < 1] or [(float(raw.mean()), float(target.mean()))]
    xs, ys = [x for x, _ in inner], [y for _, y in inner]
    return np.array([[xs[0] - 1, *xs, xs[-1] + 1], [0, *ys, 1]], np.float32)


def _assemble(
    vocabulary: _Vocabulary,
    solutions: NDArray[np.float64],
    tasks: tuple[str, ...],
    alone: Head,
    answered: Head | None,
    settings: Settings,
) -> NgramModel:
    count = len(vocabulary.buckets)
    weights = solutions[1 : count + 1]
    scale = np.maximum(np.quantile(np.abs(weights), _KEPT_RANGE, axis=0) / 127, 1e-12)
    return NgramModel(
        buckets=vocabulary.buckets,
        rarity=vocabulary.rarity,
        rarity_unseen=vocabulary.rarity_unseen,
        weights=np.clip(np.rint(weights / scale), -127, 127).astype(np.int8),
        scale=scale.astype(np.float32),
        hand_mean=vocabulary.hand_mean,
        hand_spread=vocabulary.hand_spread,
        hand_weights=(solutions[count + 1 :] * settings.hand_share).astype(np.float32),
        intercept=solutions[0].astype(np.float32),
        tasks=tasks,
        alone=alone,
        answered=answered,
    )
