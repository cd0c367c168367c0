"""What a language model is to the rest of the program: two small protocols, whatever engine stands behind them.

A backend never invents: what an engine does not report is NaN (or a pair of bounds), and what it could not do is an
error that names the fix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray


class Message(TypedDict):
    """One turn of a chat."""

    role: str
    content: str


Messages = Sequence[Message]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn. `seed` makes the draws of one prompt differ from run to run only where the engine's
    own arithmetic does; `n` completions a prompt."""

    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 16_384
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer as the model wrote it; `cut_off` where it ran into max_tokens or the model's context. `tokens` is None
    where the engine does not say."""

    text: str
    tokens: int | None
    cut_off: bool


@dataclass(frozen=True, slots=True)
class LabelLogprobs:
    """How likely a reply begins with each label: bounds of its natural log, shape (prompts, labels).

    `low` equals `high` where the engine reports every spelling of the label. Where it lists the likeliest tokens alone,
    `low` counts the spellings that are listed (-inf: none is) and `high` what the others may still hold. Both NaN: the
    prompt was not scored. `mass_known` is False where the engine reports the labels' shares of each other only, so that
    the mass they cover together is not known.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mass_known: bool = True


Done = Callable[[int, list[Completion]], None]  # number of a prompt, and all its completions; on any thread


class Backend(Protocol):
    """A chat model."""

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, *, done: Done | None = None
    ) -> list[list[Completion]]:
        """`sampling.n` completions for each prompt, in order.

        An engine that finishes one prompt before another tells `done` of each, so that it is kept at once; one whose
        draws depend on what is drawn together, or that answers all at the end, does not.
        """
        ...

    def label_logprobs(self, prompts: Sequence[Messages], labels: Sequence[str]) -> LabelLogprobs:
        """For each prompt, how likely the reply begins with each label: all single-token spellings of it, with and
        without a leading space, added up."""
        ...

    def close(self) -> None:
        """Let go of the model; called once."""
        ...
