"""How well difficulty scores agree with labels, beside two baselines (METHOD 8: no scorer is trusted unvalidated).

Length alone ranks many pools' questions well, so a model's rank correlation says little without that of length, and the
standard error of their difference. Undefined figures are NaN, never a neutral number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

_DECILES = 10


@dataclass(frozen=True, slots=True)
class Baselines:
    """What is predicted without a model: the mean label, and a line in log(1 + tokens), held within [0, 1]."""

    mean: float
    intercept: float
    slope: float

    def from_length(self, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
        """The line's label for questions of so many tokens."""
        return np.clip(self.intercept + self.slope * np.log1p(tokens), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Decile:
    """Questions of like prediction: how many, the mean of what was predicted and of the labels."""

    count: int
    predicted: float
    label: float


@dataclass(frozen=True, slots=True)
class Validation:
    """Scores against labels over the `n` questions that have both; `missing` have a label and no score.

    `gain` is spearman - length_spearman on the same questions; `_se` are standard errors. RMSE and deciles stand only
    where labels lie in [0, 1], those of the baselines only where these were fitted elsewhere.
    """

    n: int
    missing: int
    spearman: float
    spearman_se: float
    length_spearman: float
    length_spearman_se: float
    gain: float
    gain_se: float
    rmse: float
    length_rmse: float
    mean_rmse: float
    deciles: tuple[Decile, ...]  # by prediction, lowest first; fewer than ten questions make fewer


def validate(
    predicted: NDArray[np.float64],
    label: NDArray[np.float64],
    tokens: NDArray[np.float64],
    *,
    baselines: Baselines | None = None,
) -> Validation:
    """Compare scores with labels, higher = harder in both; rows of one question stand at one place of all three.

    A NaN label leaves a row out; a NaN score leaves it out and counts as missing. `baselines` come from the questions
    that a model was fitted on (`fit_baselines`).
    """
    known = np.isfinite(label)
    both = known & np.isfinite(predicted)
    score, truth, size = (np.asarray(column, np.float64)[both] for column in (predicted, label, tokens))
    model, length = spearman(score, truth), spearman(size, truth)
    shares = len(truth) > 0 and bool((truth >= 0).all() and (truth <= 1).all())
    fair = baselines if shares else None
    return Validation(
        n=len(truth),
        missing=int((known & ~both).sum()),
        spearman=model,
        spearman_se=_standard_error(model, len(truth)),
        length_spearman=length,
        length_spearman_se=_standard_error(length, len(truth)),
        gain=model - length,
        gain_se=_gain_error(model, length, spearman(score, size), len(truth)),
        rmse=_rmse(score, truth) if shares else np.nan,
        length_rmse=_rmse(fair.from_length(size), truth) if fair else np.nan,
        mean_rmse=_rmse(np.full(len(truth), fair.mean), truth) if fair else np.nan,
        deciles=_deciles(score, truth) if shares else (),
    )


def fit_baselines(label: NDArray[np.float64], tokens: NDArray[np.float64]) -> Baselines:
    """Mean and least-squares line of the labels of training questions (no NaN); one length alone gives no slope."""
    x = np.log1p(tokens)
    spread = float(x.var()) if len(x) else 0.0
    mean = float(label.mean()) if len(label) else np.nan
    slope = float(((x - x.mean()) * (label - mean)).mean() / spread) if spread > 0 else 0.0
    return Baselines(mean, mean - slope * float(x.mean()) if len(x) else np.nan, slope)


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Rank correlation, ties at their mean rank; NaN for fewer than two rows or a column of one value."""
    if len(one) < 2:
        return np.nan
    first, second = (pl.Series(column).rank("average").to_numpy() for column in (one, other))
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / size if size else np.nan


def render(validation: Validation, *, model: str = "this model") -> str:
    """A Markdown table for terminal and card, the deciles below it; a figure that is undefined is a dash."""
    v = validation
    rows = [
        "| | Spearman | s.e. | RMSE |",
        "|---|---|---|---|",
        f"| {model} | {_three(v.spearman)} | {_three(v.spearman_se)} | {_three(v.rmse)} |",
        f"| length of the question alone | {_three(v.length_spearman)} | {_three(v.length_spearman_se)} | "
        f"{_three(v.length_rmse)} |",
        *([f"| mean of the training labels | - | - | {_three(v.mean_rmse)} |"] if np.isfinite(v.mean_rmse) else []),
        f"| gain over length | {_three(v.gain)} | {_three(v.gain_se)} | {_three(v.length_rmse - v.rmse)} |",
        "",
        f"On {v.n:,} questions; {v.missing:,} more have a label and no score.",
    ]
    if v.deciles:
        shown = ", ".join(f"{_two(one.predicted)} / {_two(one.label)}" for one in v.deciles)
        rows += ["", f"Mean predicted against mean label, by tenths of the prediction: {shown}."]
    return "\n".join(rows)


def _standard_error(rho: float, n: int) -> float:
    return float((1 - rho**2) / np.sqrt(n - 1)) if n > 1 else np.nan


def _gain_error(model: float, length: float, between: float, n: int) -> float:
    """Standard error of the difference of two correlations with the same labels, large-sample formula (Olkin 1967)."""
    if n < 2 or not np.isfinite([model, length, between]).all():
        return np.nan
    a, b, c = model, length, between
    shared = c * (1 - a**2 - b**2) - a * b * (1 - a**2 - b**2 - c**2) / 2
    return float(np.sqrt(max(0.0, (1 - a**2) ** 2 + (1 - b**2) ** 2 - 2 * shared) / (n - 1)))


def _rmse(predicted: NDArray[np.float64], label: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((predicted - label) ** 2)))


def _deciles(predicted: NDArray[np.float64], label: NDArray[np.float64]) -> tuple[Decile, ...]:
    order = np.argsort(predicted, kind="stable")  # ties: by row
    parts = [part for part in np.array_split(order, _DECILES) if len(part)]
    return tuple(Decile(len(part), float(predicted[part].mean()), float(label[part].mean())) for part in parts)


def _three(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "-"


def _two(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "-"
