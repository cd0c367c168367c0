"""The manifest of a training, OUT/manifest.json: what the model came from and what it took, written last."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from select2reason.backends import sft
from select2reason.backends.model_folder import parameters
from select2reason.errors import OutputError
from select2reason.extension import reach, read_config
from select2reason.files import refuse_other_format, write_json
from select2reason.training import history
from select2reason.training.encoding import Tokens
from select2reason.training.planning import LOG, RESULT, Prepared
from select2reason.training.settings import TrainSettings

MODEL, MANIFEST = "model", "manifest.json"  # in OUT
FORMAT = 1  # of the manifest
_PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "deepspeed", "flash_attn", "liger_kernel")

_RAN_AWAY = "the last loss is no number: the training ran away, and the model is of no use; lower --learning-rate"


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to; `again` where it was done before and nothing had to be."""

    out: Path
    model: Path
    examples: int
    tokens: int
    steps: int
    time_s: float
    first_loss: float | None
    last_loss: float | None
    again: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class About:
    """What a manifest says beside figures."""

    command: str
    weights: str
    notes: tuple[str, ...]


def write_manifest(
    prepared: Prepared, tokens: Tokens, settings: TrainSettings, plan: sft.Plan, out: Path, work: Path, about: About
) -> None:
    """Write OUT/manifest.json; `work` holds the trainer's result."""
    chosen, before, after = prepared.chosen, reach(read_config(prepared.model)), reach(prepared.config)
    result = orjson.loads((work / RESULT).read_bytes())
    past = history.read(out / LOG)
    seconds = past.time_s
    manifest = {
        "format": FORMAT,
        "versions": {"python": platform.python_version(), **_versions()},
        "command": about.command,
        "selection": {
            "path": str(chosen.folder),
            "digest": chosen.digest,
            "rows": chosen.rows,
            "tokens": chosen.tokens,
        },
        "model": {
            "name": settings.model,
            "weights": about.weights,
            "parameters": parameters(prepared.model),
            "rope_theta": {"base": before.rope_theta, "tuned": after.rope_theta},
            "context": {"base": before.context, "tuned": after.context},
            "chat_template": "its own" if prepared.chat.own else "ChatML",
        },
        "settings": settings.described | {"learning_rate": settings.rate},
        "trainer": plan.arguments | {"attention": plan.attention, "dtype": plan.dtype},
        "machine": {"kind": prepared.machine.kind, "device": past.device, "processes": past.processes},
        "examples": len(tokens.lengths),
        "tokens": {"an_epoch": tokens.total, "trained": tokens.trained, "longest": tokens.longest, "seen": past.tokens},
        "steps": result["steps"],
        "time_s": seconds,
        "tokens_per_s": past.tokens / seconds if seconds else None,
        "peak_memory_bytes": result["peak_memory_bytes"],
        "first_loss": past.first_loss,
        "last_loss": past.last_loss,
        "notes": [*about.notes, *([] if past.last_loss is not None else [_RAN_AWAY])],
    }
    write_json(out / MANIFEST, manifest)


def _versions() -> dict[str, str | None]:
    """Of what took part; null where it is not installed."""
    found: dict[str, str | None] = {"select2reason": version("select2reason")}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def read_outcome(out: Path, *, again: bool) -> Trained:
    """What the manifest in OUT says. Raises UsageError where it is of another version, OutputError where damaged."""
    try:
        held = orjson.loads((out / MANIFEST).read_bytes())
        refuse_other_format(out / MANIFEST, held, FORMAT, "choose another --out")
        return _outcome(out, held, again=again)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"{out / MANIFEST} is damaged ({error!r}); choose another --out") from error


def _outcome(out: Path, held: Mapping[str, Any], *, again: bool) -> Trained:
    return Trained(
        out=out,
        model=out / MODEL,
        examples=held["examples"],
        tokens=held["tokens"]["seen"],
        steps=held["steps"],
        time_s=held["time_s"],
        first_loss=held["first_loss"],
        last_loss=held["last_loss"],
        again=again,
        notes=tuple(held["notes"]),
    )
