"""The figures of an evaluation (METHOD 7), pure NumPy: each a mean over problems, with its standard error.

A problem is the unit: its samples are draws of the same thing, so the standard error is that of the problems' means,
sqrt(var / problems) with one degree of freedom less. What is not known of a problem is NaN and left out, and the number
of problems that a figure rests on goes with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


_NOISE = 1e-12  # what binary fractions leave of equal differences


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over `problems` problems and its standard error; None where there is none: too few problems, or all of
    them alike, which an error of 0 would call certain."""

    value: float | None
    stderr: float | None
    problems: int


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of paired differences over `problems` problems and its 95% interval, by Student's t; `low` and `high`
    are None where the problems are fewer than three or all differ alike, which an interval would call certain."""

    value: float | None
    low: float | None
    high: float | None
    problems: int


def mean(values: NDArray[np.float64]) -> Figure:
    """The mean of values (n,), NaN left out."""
    known = values[~np.isnan(values)]
    if not len(known):
        return Figure(None, None, 0)
    spread = float(known.std(ddof=1)) if len(known) > 1 and np.ptp(known) else None
    return Figure(float(known.mean()), None if spread is None else spread / math.sqrt(len(known)), len(known))


def pass_at_k(n: NDArray[np.int64], right: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """For each problem the chance that one of k of its n samples is right, without bias: 1 - C(n - right, k) / C(n, k)
    (Chen et al. 2021, section 2.1); NaN where n < k."""
    chance = np.ones(len(n))
    for drawn in range(k):
        chance *= np.clip(n - right - drawn, 0, None) / np.maximum(n - drawn, 1)
    return np.where(n < k, np.nan, 1 - chance)


def difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Difference:
    """How much higher `ours` is than `theirs` (n,), problem by problem; those that are NaN in either are left out."""
    paired = (ours - theirs)[~(np.isnan(ours) | np.isnan(theirs))]
    n = len(paired)
    if not n:
        return Difference(None, None, None, 0)
    value = float(paired.mean())
    if n < 3 or np.ptp(paired) <= _NOISE * max(1.0, abs(value)):
        return Difference(value, None, None, n)
    half = t_975(n - 1) * float(paired.std(ddof=1)) / math.sqrt(n)
    return Difference(value, value - half, value + half, n)


_T_975 = {2: 4.302653, 3: 3.182446, 4: 2.776445, 5: 2.570582}  # where the expansion is not yet near


def t_975(df: int) -> float:
    """The 97.5% point of Student's t with df > 1 degrees of freedom, to 0.01% (from 6 on Abramowitz and Stegun
    26.7.5)."""
    if df in _T_975:
        return _T_975[df]
    z = NormalDist().inv_cdf(0.975)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / df**power for power, term in enumerate(terms, start=1))
