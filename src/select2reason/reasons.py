"""Why a row of a pool is taken or not: the reasons, in the order in which the first that holds counts (METHOD 9.12)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

ROW_RULES = (
    "no_trace",
    "looping",
    "cut_off",
    "damaged_tags",
    "no_answer",
    "wrong_answer",
    "language_switch",
    "runs_on",
    "contaminated",
    "duplicate",
    "over_cutoff",
)
"""Reasons that make a row ineligible by itself (METHOD 9.5), in the order in which the first one counts."""
REASONS = (*ROW_RULES, "same_question", "over_budget", "ranked_below")
"""All reasons why a row is not chosen, in the order of METHOD 9.12; a reason's code is its place here."""
OUTCOMES = (*REASONS, "selected")
"""What `Selection.reason` may hold: OUTCOMES[code]."""
SELECTED = OUTCOMES.index("selected")
SAME_QUESTION = REASONS.index("same_question")
OVER_BUDGET = REASONS.index("over_budget")
RANKED_BELOW = REASONS.index("ranked_below")
ELIGIBLE = -1
"""In `Candidates.dropped`: no row rule dropped this row."""


def first_reason(flags: Mapping[str, NDArray[np.bool_]], *, active: Collection[str]) -> NDArray[np.int8]:
    """Per row the code of the first active reason whose flag is set, in the order of REASONS, or ELIGIBLE.

    Takes the row rules, and same_question for rows that a recipe drops up front (METHOD 9.6). A flag that is
    not active drops nothing. Raises ValueError for an active name that is no such rule or has no flags.
    """
    rules = (*ROW_RULES, "same_question")
    if wrong := sorted(set(active) - set(rules) | set(active) - set(flags)):
        raise ValueError(f"no row rule, or no flags given for it: {', '.join(wrong)}")
    dropped = np.full(len(next(iter(flags.values()), ())), ELIGIBLE, np.int8)
    for rule in reversed(rules):  # the first reason is written last
        if rule in active:
            dropped[flags[rule]] = REASONS.index(rule)
    return dropped
