"""Fits a language model with one output to labels in [0, 1] (METHOD 2: reward model), on transformers and peft.

The head begins as a ridge regression on what the frozen model says of the training texts; then all weights but the
embeddings, or low-rank adapters that are merged in the end, follow the labels by gradient steps. Training stops when
the validation part no longer gains, and its best state is kept. Nothing here measures quality: hold texts out first.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from select2reason.backends.chats import batches_of
from select2reason.backends.reward_model import (
    Advance,
    Reading,
    TransformersRegressor,
    Untyped,
    libraries,
)
from select2reason.errors import RunError, UsageError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR

Stage = Callable[[str, float], AbstractContextManager[Advance]]  # shows a step of so many questions: label, total
_EDGE = 0.02  # keeps the log-odds of labels 0 and 1 finite
_RIDGES = tuple(10.0**power for power in np.arange(0, 6.5, 0.5))  # for features in units of their spread
_WARM_UP = 0.1  # of the steps


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a base model is fitted; 0 epochs leave the base as it is and fit the head alone."""

    epochs: int = 3
    batch_tokens: int = 2048  # padded tokens of one gradient step
    learning_rate: float | None = None  # None: 2e-4 with adapters, 5e-5 without
    lora: bool = False
    lora_rank: int = 16
    layers: int | None = None  # keep the first so many layers of the base; None: all
    max_length: int = 1024
    patience: int = 2  # epochs in a row without gain that end the training; the first may well bring none
    device: str | None = None  # None: the GPU where there is one


@contextmanager
def silent(label: str, total: float) -> Iterator[Advance]:
    """A stage that shows nothing."""
    yield lambda done: None


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts with their labels in [0, 1]; no text is blank."""

    texts: Sequence[str]
    labels: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Rows:
    ids: list[list[int]]
    labels: NDArray[np.float64]


def fine_tune(
    base: str, train: Labelled, valid: Labelled, *, tuning: Tuning, seed: int, stage: Stage = silent
) -> TransformersRegressor:
    """A regressor that says of a text what its label may be; `valid` ends the training and sets the scale.

    Equal seeds give equal models on a CPU with the same number of threads. Raises UsageError where the base cannot be
    used, RunError where the GPU's memory does not suffice.
    """
    torch, _ = libraries()
    torch.manual_seed(seed)
    regressor = TransformersRegressor.open(
        base,
        device=tuning.device,
        reading=Reading(max_length=tuning.max_length),
        layers=tuning.layers,
        half=tuning.lora or not tuning.epochs,  # steps of 1e-5 vanish in weights of bfloat16
    )
    rows, aside = (_Rows(regressor.encode(part.texts), part.labels) for part in (train, valid))
    _set_head(regressor, rows, aside, stage)
    if tuning.epochs:
        try:
            _train(regressor, rows, aside, tuning, seed, stage)
        except torch.OutOfMemoryError as error:
            fix = "lower the batch tokens, or use LoRA"
            raise RunError(f"the GPU's memory does not suffice for training; {fix}") from error
    scale, shift = platt(regressor.logits(aside.ids), aside.labels)
    regressor.reading = replace(regressor.reading, scale=scale, shift=shift)
    return regressor


def platt(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[float, float]:
    """Scale (> 0) and shift of the logits by cross-entropy with labels in [0, 1]: two numbers, so that a hundred
    labels suffice, and no order changes. 1 and 0 where the logits do not rise with the labels."""
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    found = np.array([1.0, 0.0])
    for _ in range(50):  # Newton's steps, a little damped; most fits stand still after 6
        expected = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        curve = design.T @ (design * (expected * (1 - expected))[:, None]) + 1e-3 * np.eye(2)
        found = found - np.linalg.solve(curve, design.T @ (expected - labels) + 1e-3 * (found - [1.0, 0.0]))
    return (float(found[0]), float(found[1])) if np.isfinite(found).all() and found[0] > 0 else (1.0, 0.0)


def _set_head(regressor: TransformersRegressor, train: _Rows, valid: _Rows, stage: Stage) -> None:
    """The closed-form head: ridge regression of the labels' log-odds on frozen features."""
    import torch

    with stage("reading questions", len(train.ids) + len(valid.ids)) as advance:
        seen, aside = (regressor.features(rows.ids, advance) for rows in (train, valid))
    weights = _ridge(seen, train.labels, aside, valid.labels)
    with torch.no_grad():
        regressor.model.score.weight.copy_(torch.from_numpy(weights)[None])


def _ridge(
    seen: NDArray[np.float64],
    labels: NDArray[np.float64],
    aside: NDArray[np.float64],
    aside_labels: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weights (hidden size,) of the ridge that serves the validation part best.

    The head has no intercept, so features are not centred: many have a mean far from 0 in units of their spread, and
    carry one at almost no cost.
    """
    odds = np.log((labels + _EDGE) / (1 + _EDGE - labels))
    spread = seen.std(axis=0) + 1e-6
    scaled = seen / spread
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    pull = vectors.T @ (scaled.T @ odds)
    choices = [vectors @ (pull / (values + ridge)) / spread for ridge in _RIDGES]
    return min(choices, key=lambda weights: _cross_entropy(aside @ weights, aside_labels))


def _cross_entropy(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    """NaN where training ran away: no loss is worse."""
    with np.errstate(invalid="ignore"):
        return float(np.mean(np.logaddexp(0, logits) - labels * logits))


def _train(
    regressor: TransformersRegressor, train: _Rows, valid: _Rows, tuning: Tuning, seed: int, stage: Stage
) -> None:
    import torch

    weights = _trainable(regressor, tuning)
    rng = np.random.default_rng(seed)
    batches = list(batches_of([len(row) for row in train.ids], tuning.batch_tokens))
    optimizer, schedule = _optimizer(weights, tuning, tuning.epochs * len(batches))
    best, kept, idle = _cross_entropy(regressor.logits(valid.ids), valid.labels), _copies(weights), 0
    with stage("fine-tuning", tuning.epochs * len(train.ids)) as advance:
        for _ in range(tuning.epochs):
            regressor.model.train()
            for number in rng.permutation(len(batches)):
                _step(regressor, train, batches[number], weights)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                advance(len(batches[number]))
            loss = _cross_entropy(regressor.logits(valid.ids), valid.labels)
            best, kept, idle = (loss, _copies(weights), 0) if loss < best else (best, kept, idle + 1)
            if idle >= tuning.patience:
                break
    with torch.no_grad():
        for weight, copy in zip(weights, kept, strict=True):
            weight.copy_(copy)
    _settle(regressor, tuning)


def _step(
    regressor: TransformersRegressor, train: _Rows, batch: NDArray[np.intp], weights: Sequence[torch.Tensor]
) -> None:
    """Gradients of one batch: cross-entropy with soft labels, which told hard from easy sooner than squared error."""
    import torch

    logits = regressor.model.score(regressor.pooled([train.ids[i] for i in batch]))[:, 0]
    labels = torch.tensor(train.labels[batch], dtype=logits.dtype, device=logits.device)
    loss: Untyped = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)


def _trainable(regressor: TransformersRegressor, tuning: Tuning) -> list[torch.Tensor]:
    """What the steps change: the head, and adapters or every layer; never the embeddings, most of a small model's
    weights and for most tokens without any label."""
    model = regressor.model
    if tuning.lora:
        peft = _peft()
        config = peft.LoraConfig(r=tuning.lora_rank, lora_alpha=2 * tuning.lora_rank, target_modules="all-linear")
        with warnings.catch_warnings():  # peft 0.21 asks transformers 5 for something by its old name
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            regressor.backbone = peft.get_peft_model(regressor.backbone, config)
    else:
        regressor.backbone.get_input_embeddings().weight.requires_grad_(False)
    parameters = [*regressor.backbone.parameters(), *model.score.parameters()]
    return [weight for weight in parameters if weight.requires_grad]


def _optimizer(weights: Sequence[torch.Tensor], tuning: Tuning, steps: int) -> tuple[Optimizer, LambdaLR]:
    """AdamW whose rate rises over the first tenth of the steps, then falls to 0 in a line."""
    import torch

    optimizer = torch.optim.AdamW(
        weights, lr=tuning.learning_rate or (2e-4 if tuning.lora else 5e-5), weight_decay=0.01
    )
    warm = max(1, round(_WARM_UP * steps))
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm))
    )
    return optimizer, rate


def _copies(weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [weight.detach().cpu().clone() for weight in weights]


def _settle(regressor: TransformersRegressor, tuning: Tuning) -> None:
    """Merge the adapters into the base, so that what is saved is a plain model."""
    if tuning.lora:
        regressor.backbone = regressor.backbone.merge_and_unload()
        setattr(regressor.model, regressor.model.base_model_prefix, regressor.backbone)


def _peft() -> ModuleType:
    try:
        import peft
    except ImportError as error:
        raise UsageError("LoRA needs peft: pip install 'select2reason[reward]'") from error
    return peft
