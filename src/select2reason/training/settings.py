"""How a model is trained: METHOD 6's settings as defaults, each with its source, and what the machine decides."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from select2reason.extension import Extension

Packing = Literal["off", "padding-free", "bfd"]
Parallel = Literal["auto", "ddp", "zero2", "zero3", "fsdp"]
Switch = Literal["auto", "on", "off"]

EPOCHS = 3.0  # the paper does not say: the custom of LLaMA-Factory and Open-R1
LEARNING_RATE = 5e-5  # METHOD 6, as all that follow
SCHEDULE = "cosine"
WARMUP_RATIO = 0.1
BATCH_OF_A_GPU = 1
ACCUMULATION = 4
LORA_RANK = 32
SAVED_SHARE = 0.1  # of all steps, between two checkpoints
LORA_LEARNING_RATE = 2e-4  # adapters begin at nothing and need longer steps; the paper trains all weights


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What decides which model comes out. None: as the comment beside it says.

    `batch` is the examples of one step over all GPUs; with packing `bfd` an example is a pack.
    """

    model: str
    revision: str | None = None
    trust_remote_code: bool = False
    extension: Extension = Extension()  # noqa: RUF009 -- frozen
    lora: bool = False
    lora_rank: int = LORA_RANK
    epochs: float = EPOCHS
    max_steps: int | None = None  # by epochs
    learning_rate: float | None = None  # LEARNING_RATE, or LORA_LEARNING_RATE
    batch: int | None = None  # ACCUMULATION times the GPUs and their batches
    per_device: int = BATCH_OF_A_GPU
    packing: Packing = "off"
    seed: int = 42

    @property
    def rate(self) -> float:
        """The learning rate in force, at its highest."""
        default = LORA_LEARNING_RATE if self.lora else LEARNING_RATE
        return default if self.learning_rate is None else self.learning_rate

    @property
    def described(self) -> dict[str, Any]:
        """Everything that was set, for a manifest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Means:
    """How it is computed, which changes little or nothing of the outcome; `save_every` is in steps, None: a tenth of
    them."""

    parallel: Parallel = "auto"
    attention: str | None = None  # FlashAttention 2 where it is installed, else PyTorch's own
    liger: Switch = "auto"
    gradient_checkpointing: bool = True
    save_every: int | None = None
    keep_checkpoints: int = 1
    report_to: tuple[str, ...] = ()
