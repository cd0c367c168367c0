"""What stands before a training begins, and the plan that the trainer's process follows: TRL's arguments and the rest.

Nothing is cut: without packing there is no limit of length, with it the limit is the longest example.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

from select2reason.backends import sft
from select2reason.backends.chat_format import ChatFormat
from select2reason.backends.loading import trackers
from select2reason.chosen import Chosen
from select2reason.errors import UsageError
from select2reason.progress import say
from select2reason.training.encoding import Tokens
from select2reason.training.launching import Machine
from select2reason.training.settings import ACCUMULATION, SAVED_SHARE, SCHEDULE, WARMUP_RATIO, Means, TrainSettings

LOG, CHECKPOINTS = "log.jsonl", "checkpoints"  # in OUT
_ATTENTION = ("sdpa", "flash_attention_2", "flash_attention_3", "flex_attention", "eager")
TOKENS, TUNED, RESULT, LOCK = "tokens.arrow", "tuned", "result.json", "trainer.lock"  # in OUT/work


@dataclass(frozen=True, slots=True)
class Prepared:
    """Selection, model and machine, looked at; `config` is the model's with the context that is asked for."""

    chosen: Chosen
    model: Path
    config: Mapping[str, Any]
    chat: ChatFormat
    machine: Machine
    notes: tuple[str, ...]


def check_means(means: Means) -> None:
    """Before anything is loaded: raise UsageError for what the trainer does not know, or what is not installed."""
    attention = means.attention
    if attention is not None and attention not in _ATTENTION and "/" not in attention:
        raise UsageError(
            f"--attention {attention} is not known; it can be {', '.join(_ATTENTION)}, or kernels of the Hub"
        )
    if attention == "flash_attention_2" and find_spec("flash_attn") is None:
        raise UsageError("--attention flash_attention_2 needs its package: pip install flash-attn; or leave it out")
    if means.liger == "on" and find_spec("liger_kernel") is None:
        raise UsageError("--liger on needs its kernels: pip install liger-kernel; or leave it out")
    if unknown := sorted(set(means.report_to) - set(trackers())):
        raise UsageError(f"--report-to {unknown[0]} is not known; it can be {', '.join(trackers())}")


def batch_of(settings: TrainSettings, machine: Machine) -> int:
    """Examples of one step over all GPUs: what is asked for, or the paper's (METHOD 6).

    Raises UsageError where they do not divide among the GPUs.
    """
    at_once = machine.processes * settings.per_device
    batch = settings.batch or ACCUMULATION * at_once
    if batch % at_once:
        raise UsageError(f"--batch-size {batch} is no multiple of {at_once}, the examples on {machine} at once")
    return batch


def make_plan(
    prepared: Prepared, tokens: Tokens, settings: TrainSettings, means: Means, out: Path, work: Path
) -> sft.Plan:
    """The plan for a training into OUT, said aloud; `work` holds tokens and config."""
    machine, gpu = prepared.machine, bool(prepared.machine.gpus)
    batch = batch_of(settings, machine)
    attention = means.attention or ("flash_attention_2" if gpu and find_spec("flash_attn") else "sdpa")
    liger = means.liger == "on" or (means.liger == "auto" and gpu and find_spec("liger_kernel") is not None)
    packed = settings.packing == "bfd"
    steps = settings.max_steps or ceil(settings.epochs * ceil(len(tokens.lengths) / batch))
    say(
        f"plan: {len(tokens.lengths):,} examples, {tokens.total:,} tokens an epoch, {tokens.trained:,} with loss, "
        f"the longest {tokens.longest:,}"
    )
    taken = f"{batch:,} packs a step" if packed else f"{batch:,} examples a step, {steps:,} steps"
    every = means.save_every or (None if packed else ceil(steps * SAVED_SHARE))
    saved = "ten checkpoints" if every is None else f"a checkpoint every {f'{every:,} steps' if every > 1 else 'step'}"
    say(f"plan: on {machine}, {taken}, {saved}; attention {attention}{', Liger' if liger else ''}")
    found = sft.last_whole(out / CHECKPOINTS)
    kept = gpu and (settings.lora or machine.kind.startswith("zero"))  # DeepSpeed keeps its own in full precision
    told = prepared.config.get("text_config") or prepared.config
    arguments = _arguments(settings, means, gpu=gpu) | {
        "output_dir": str((out / CHECKPOINTS).resolve()),
        "run_name": out.name,
        "gradient_accumulation_steps": batch // (machine.processes * settings.per_device),
        "use_liger_kernel": liger,
        "max_length": tokens.longest if packed else None,
    }
    return sft.Plan(
        model=str(prepared.model.resolve()),
        config=str((work / "config").resolve()),
        tokens=str((work / TOKENS).resolve()),
        out=str((work / TUNED).resolve()),
        log=str((out / LOG).resolve()),
        result=str((work / RESULT).resolve()),
        lock=str((work / LOCK).resolve()),
        arguments=arguments,
        keep=means.keep_checkpoints,
        dtype="bfloat16" if kept else "float32",
        saved_dtype=str(told.get("dtype") or told.get("torch_dtype") or "bfloat16"),
        attention=attention,
        template=prepared.chat.template,
        end_token=prepared.chat.end_token,
        trust_remote_code=settings.trust_remote_code,
        lora_rank=settings.lora_rank if settings.lora else None,
        resume=None if found is None else str(found[0].resolve()),
        parent=os.getpid(),
    )


def _arguments(settings: TrainSettings, means: Means, *, gpu: bool) -> dict[str, Any]:
    """TRL's SFTConfig, less what the machine decides."""
    packed = settings.packing == "bfd"
    return {
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.per_device,
        "learning_rate": settings.rate,
        "lr_scheduler_type": SCHEDULE,
        "warmup_steps": WARMUP_RATIO,  # below 1: a share of all steps
        "weight_decay": 0.0,
        "optim": "adamw_torch_fused" if gpu else "adamw_torch",
        "bf16": gpu,
        "use_cpu": not gpu,
        "gradient_checkpointing": means.gradient_checkpointing,
        "packing": packed,
        "padding_free": settings.packing == "padding-free",
        "dataset_kwargs": None if packed else {"skip_prepare_dataset": True},
        "dataloader_pin_memory": gpu,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would repeat the last loss that was a number
        "save_steps": means.save_every or SAVED_SHARE,
        "save_total_limit": None,  # older ones go when the new one is marked as whole
        "report_to": list(means.report_to) or "none",
        "seed": settings.seed,
        "disable_tqdm": True,
    }
