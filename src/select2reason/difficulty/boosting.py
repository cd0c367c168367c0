"""Boosted symmetric trees in NumPy: the last step but one of the small difficulty model.

Serves the reward model of METHOD 2. Every level of a tree asks one question of all its leaves, so that a tree of depth
D is D comparisons and one look-up, for whole columns at a time. Squared error only; no missing values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 32  # quantile bins of each feature: 64 gained nothing
_CHUNK = 1024  # rows at once: 400 trees' leaves of 1,024 rows take 1.6 MB


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees of one depth D; a row's leaf is the binary number of its D answers, the first level highest."""

    base: float
    features: NDArray[np.int16]  # (trees, D)
    thresholds: NDArray[np.float32]  # (trees, D): the answer is value > threshold
    leaves: NDArray[np.float32]  # (trees, 2^D)

    def predict(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sum over the trees for each row of `values` (rows, features)."""
        parts = [self._predict(values[start : start + _CHUNK]) for start in range(0, len(values), _CHUNK)]
        return np.concatenate([np.empty(0), *parts])

    def _predict(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        columns = np.ascontiguousarray(values.T, dtype=np.float32)
        leaf = np.zeros((len(self.features), len(values)), np.int32)
        for feature, threshold in zip(self.features.T, self.thresholds.T, strict=True):
            leaf <<= 1
            leaf |= columns[feature] > threshold[:, None]
        first = np.arange(len(leaf), dtype=np.int32)[:, None] * self.leaves.shape[1]
        return np.asarray(self.base + self.leaves.ravel()[leaf + first].sum(axis=0, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Growth:
    """How trees are grown; the defaults were chosen by cross-validation over questions."""

    trees: int = 400
    depth: int = 5
    rate: float = 0.04
    column_share: float = 0.2  # of the features, drawn anew for each tree
    row_share: float = 0.7
    shrinkage: float = 20.0  # rows of residual 0 added to every leaf


def grow(values: NDArray[np.float32], target: NDArray[np.float64], how: Growth, *, seed: int) -> Trees:
    """Fit trees to `target` (rows,) by least squares."""
    rng = np.random.default_rng(seed)
    edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], axis=0).astype(np.float32)  # (BINS - 1, features)
    binned = np.stack([np.searchsorted(edges[:, j], values[:, j]) for j in range(values.shape[1])])  # (features, rows)
    base = float(target.mean())
    residual = target - base
    features, cuts, leaves = [], [], []
    for _ in range(how.trees):
        columns = np.sort(rng.permutation(len(binned))[: max(1, round(how.column_share * len(binned)))])
        drawn = rng.random(len(target)) < how.row_share
        levels, leaf = _split(binned, columns, residual, drawn, how)
        value = how.rate * _leaf_values(leaf, residual, drawn, how)
        residual -= value[leaf]
        features.append([column for column, _ in levels])
        cuts.append([edges[cut, column] for column, cut in levels])
        leaves.append(value)
    return Trees(base, np.array(features, np.int16), np.array(cuts, np.float32), np.array(leaves, np.float32))


def _split(
    binned: NDArray[np.int64],
    columns: NDArray[np.int64],
    residual: NDArray[np.float64],
    drawn: NDArray[np.bool_],
    how: Growth,
) -> tuple[list[tuple[int, int]], NDArray[np.int64]]:
    """One tree's (feature, cut) by level, and the leaf of every row."""
    used = np.flatnonzero(drawn)
    part, pull = binned[columns][:, used], residual[used]
    leaf = np.zeros(binned.shape[1], np.int64)
    levels = []
    for level in range(how.depth):
        gain = _gains(part, leaf[used], pull, 1 << level, how.shrinkage)
        best, cut = np.unravel_index(int(np.argmax(gain)), gain.shape)
        levels.append((int(columns[best]), int(cut)))
        leaf = leaf << 1 | (binned[columns[best]] > cut)
    return levels, leaf


def _gains(
    binned: NDArray[np.int64],
    leaf: NDArray[np.int64],
    pull: NDArray[np.float64],
    count: int,
    shrinkage: float,
) -> NDArray[np.float64]:
    """Gain of each (feature, cut), summed over the leaves: shape (features, BINS - 1)."""
    gains = np.empty((len(binned), BINS - 1))
    for j, column in enumerate(binned):
        cell = leaf * BINS + column
        g = np.bincount(cell, weights=pull, minlength=count * BINS).reshape(count, BINS).cumsum(axis=1)
        m = np.bincount(cell, minlength=count * BINS).reshape(count, BINS).cumsum(axis=1)
        left, right = g[:, :-1], g[:, -1:] - g[:, :-1]
        gain = left**2 / (m[:, :-1] + shrinkage) + right**2 / (m[:, -1:] - m[:, :-1] + shrinkage)
        gains[j] = gain.sum(axis=0)
    return gains


def _leaf_values(
    leaf: NDArray[np.int64], residual: NDArray[np.float64], drawn: NDArray[np.bool_], how: Growth
) -> NDArray[np.float64]:
    pull = np.bincount(leaf[drawn], weights=residual[drawn], minlength=1 << how.depth)
    return np.asarray(pull / (np.bincount(leaf[drawn], minlength=1 << how.depth) + how.shrinkage))
