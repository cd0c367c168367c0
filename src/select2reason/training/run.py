"""TRAIN from top to bottom: open the selection, look at the model, encode, launch, finish, write down what was done.

OUT/model is the tuned model, put in place when whole (OUT/adapter the adapters alone, with LoRA); OUT/checkpoints lets
a run that is killed go on; OUT/log.jsonl holds every step's loss, OUT/train.log all that the trainer said; and
OUT/manifest.json, written last, says what it came from. OUT/work can be made anew at any time.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

import orjson

from select2reason.backends import sft
from select2reason.backends.chat_format import ChatFormat, open_chat
from select2reason.backends.loading import gpu_count, model_fingerprint, needs
from select2reason.backends.model_folder import model_folder, parameters
from select2reason.chosen import Chosen, open_chosen
from select2reason.errors import OutputError, RunError, UsageError
from select2reason.extension import both_fields, extended, raise_tokenizer_limit, reach, read_config, told
from select2reason.progress import say, stage
from select2reason.tokens import load_tokenizer
from select2reason.training import history
from select2reason.training.encoding import Tokens, encode
from select2reason.training.launching import Machine, accelerate_config, finish, follow, launch, machine_for
from select2reason.training.settings import ACCUMULATION, SCHEDULE, WARMUP_RATIO, Means, TrainSettings

MODEL, ADAPTER, MANIFEST, LOG = "model", "adapter", "manifest.json", "log.jsonl"
_NOTE, _LOCK = "settings.json", "lock"  # in OUT/work
_SMALL = 3_200_000_000  # parameters: models called 3B have up to 3.1 billion
_PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "deepspeed", "flash_attn", "liger_kernel")


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
class _Prepared:
    """What stands before the trainer begins."""

    chosen: Chosen
    model: Path
    config: Mapping[str, Any]
    chat: ChatFormat
    machine: Machine
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _About:
    """What a manifest says beside figures."""

    command: str
    weights: str
    notes: tuple[str, ...]


def train(
    selection: Path, out: Path, settings: TrainSettings, means: Means | None = None, *, command: str = ""
) -> Trained:
    """Train a model on a selection. Run again, a killed training goes on from its last checkpoint, and one that is done
    is left as it is.

    Raises UsageError where selection, model or settings cannot be used together, RunError where the trainer fails.
    """
    means = means or Means()
    needs("torch", "transformers", "trl", "accelerate", "datasets", *(["peft"] if settings.lora else []))
    chosen = open_chosen(selection)
    folder = model_folder(settings.model, settings.revision)
    identity = {
        "selection": chosen.digest,
        "weights": model_fingerprint(str(folder)),
        **settings.described,
    }
    with _claimed(out, identity) as work:
        if (out / MANIFEST).is_file():
            say(f"{out} is trained already; nothing is done again")
            return _outcome(out, again=True)
        prepared = _prepare(chosen, folder, settings, means)
        tokens = _encoded(prepared, work)
        notes = (*prepared.notes, *_refuse_or_note(prepared, tokens))
        plan = _plan(prepared, tokens, settings, means, out, work)
        for note in notes:
            say(f"note: {note}")
        _run(plan, prepared.machine, out, work)
        _finish(plan, prepared, out, work)
        about = _About(command, identity["weights"], notes)
        _write_manifest(prepared, tokens, settings, plan, out, work, about)
    return _outcome(out, again=False)


# --- before ---------------------------------------------------------------------------------------------------------


@contextmanager
def _claimed(out: Path, identity: Mapping[str, Any]) -> Iterator[Path]:
    """OUT/work, for these settings alone, locked against a second trainer: the trainer's process holds the lock too."""
    work = out / "work"
    note = work / _NOTE
    try:
        if out.is_dir() and not note.is_file() and any(out.iterdir()):
            raise OutputError(f"{out} holds something else; choose another --out")
        work.mkdir(parents=True, exist_ok=True)
        lock = os.open(work / _LOCK, os.O_CREAT | os.O_RDWR)
    except OSError as error:
        raise OutputError(f"cannot use {out} ({error}); choose another --out") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"{out} is being trained by another process; wait for it, or end it") from error
        os.set_inheritable(lock, True)
        _same(note, identity, out)
        yield work
    finally:
        os.close(lock)


def _same(note: Path, identity: Mapping[str, Any], out: Path) -> None:
    plain = orjson.loads(orjson.dumps(identity, default=str))
    if note.is_file():
        held = orjson.loads(note.read_bytes())
        if differ := [name for name in plain if held.get(name) != plain[name]]:
            words = ", ".join(f"{name} ({held.get(name)!r:.40}, not {plain[name]!r:.40})" for name in differ)
            raise OutputError(f"{out} holds a training with another {words}; choose another --out")
        return
    _write(note, plain)


def _prepare(chosen: Chosen, folder: Path, settings: TrainSettings, means: Means) -> _Prepared:
    chat = open_chat(folder, settings.model, trust_remote_code=settings.trust_remote_code)
    before = read_config(folder)
    config = extended(before, settings.extension)
    size = parameters(folder)
    machine = machine_for(gpu_count(), means.parallel)
    far = reach(config)
    context = f", context {far.context:,}" if far.context else ""
    say(f"model: {settings.model}, {size / 1e6:,.0f} million parameters{context}")
    for line in told(before, config):
        say(f"model: {line}, in a copy of its config")
    return _Prepared(chosen, folder, config, chat, machine, tuple(_model_notes(size, chat)))


def _model_notes(size: int, chat: ChatFormat) -> Iterator[str]:
    if size <= _SMALL:
        yield "models of 3B parameters and less can get worse by long thoughts (arXiv 2506.07712): evaluate both"
    if not chat.own:
        yield "the model brings no chat template; it is taught Qwen2.5's ChatML, which is saved with it"


def _encoded(prepared: _Prepared, work: Path) -> Tokens:
    tokenizer = load_tokenizer(str(prepared.model))
    with stage("encoding", prepared.chosen.rows) as advance:
        return encode(prepared.chosen, prepared.chat, tokenizer, work / "tokens.arrow", advance=advance)


def _refuse_or_note(prepared: _Prepared, tokens: Tokens) -> Iterator[str]:
    context = reach(prepared.config).context
    if context is not None and tokens.longest > context:
        over = int((tokens.lengths > context).sum())
        raise UsageError(
            f"{over:,} of {len(tokens.lengths):,} examples are longer than the model's context of {context:,} tokens "
            f"(the longest {tokens.longest:,}); raise it with --rope-theta 300000 --context 32768, "
            f"or select again with --cutoff-len {context}"
        )
    if tokens.total != prepared.chosen.tokens:
        yield (
            f"the selection counted {prepared.chosen.tokens:,} tokens; in this model's tokens and chat format they are "
            f"{tokens.total:,}"
        )


# --- the trainer ----------------------------------------------------------------------------------------------------


def _plan(
    prepared: _Prepared, tokens: Tokens, settings: TrainSettings, means: Means, out: Path, work: Path
) -> sft.Plan:
    machine, gpu = prepared.machine, bool(prepared.machine.gpus)
    at_once = machine.processes * settings.per_device
    batch = settings.batch or ACCUMULATION * at_once
    if batch % at_once:
        raise UsageError(f"--batch-size {batch} is no multiple of {at_once}, the examples on {machine} at once")
    attention = means.attention or ("flash_attention_2" if gpu and find_spec("flash_attn") else "sdpa")
    liger = means.liger == "on" or (means.liger == "auto" and gpu and find_spec("liger_kernel") is not None)
    steps = settings.max_steps or ceil(settings.epochs * ceil(len(tokens.lengths) / batch))
    every = means.save_every or max(1, steps // 10)
    say(
        f"plan: {len(tokens.lengths):,} examples, {tokens.total:,} tokens an epoch, {tokens.trained:,} with loss, "
        f"the longest {tokens.longest:,}"
    )
    packs = "packs" if settings.packing == "bfd" else "examples"
    about = "" if settings.packing == "bfd" else f"{steps:,} steps, "
    say(f"plan: on {machine}, {batch:,} {packs} a step, {about}a checkpoint every {every:,}; attention {attention}")
    _write(work / "config" / "config.json", prepared.config)
    found = sft.last_whole(out / "checkpoints")
    dtype = "bfloat16" if gpu and (settings.lora or machine.kind.startswith("zero")) else "float32"
    return sft.Plan(
        model=str(prepared.model.resolve()),
        config=str((work / "config").resolve()),
        tokens=str((work / "tokens.arrow").resolve()),
        out=str((work / "tuned").resolve()),
        log=str((out / LOG).resolve()),
        result=str((work / "result.json").resolve()),
        arguments=_arguments(
            tokens, settings, means, out, gpu=gpu, liger=liger, accumulation=batch // at_once, every=every
        ),
        dtype=dtype,
        saved_dtype=str(prepared.config.get("dtype") or prepared.config.get("torch_dtype") or "bfloat16"),
        attention=attention,
        template=prepared.chat.template,
        end_token=prepared.chat.end_token,
        trust_remote_code=settings.trust_remote_code,
        lora_rank=settings.lora_rank if settings.lora else None,
        resume=None if found is None else str(found[0].resolve()),
        parent=os.getpid(),
    )


def _arguments(
    tokens: Tokens,
    settings: TrainSettings,
    means: Means,
    out: Path,
    *,
    gpu: bool,
    liger: bool,
    accumulation: int,
    every: int,
) -> dict[str, Any]:
    """TRL's SFTConfig. Nothing is cut: without packing there is no limit, with it the limit is the longest example."""
    packed = settings.packing == "bfd"
    return {
        "output_dir": str((out / "checkpoints").resolve()),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.per_device,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": settings.rate,
        "lr_scheduler_type": SCHEDULE,
        "warmup_steps": WARMUP_RATIO,  # below 1: a share of all steps
        "weight_decay": 0.0,
        "optim": "adamw_torch_fused" if gpu else "adamw_torch",
        "bf16": gpu,
        "use_cpu": not gpu,
        "gradient_checkpointing": means.gradient_checkpointing,
        "use_liger_kernel": liger,
        "packing": packed,
        "padding_free": settings.packing == "padding-free",
        "max_length": tokens.longest if packed else None,
        "dataset_kwargs": None if packed else {"skip_prepare_dataset": True},
        "dataloader_pin_memory": gpu,
        "logging_steps": 1,
        "save_steps": every,
        "save_total_limit": means.keep_checkpoints,
        "report_to": list(means.report_to) or "none",
        "run_name": out.name,
        "seed": settings.seed,
        "disable_tqdm": True,
    }


def _run(plan: sft.Plan, machine: Machine, out: Path, work: Path) -> None:
    """Train, unless all that was done and the end alone is missing."""
    if Path(plan.result).is_file() and Path(plan.out).is_dir():
        return
    began = sft.last_whole(out / "checkpoints")
    history.forget_after(out / LOG, 0 if began is None else began[1])
    shutil.rmtree(plan.out, ignore_errors=True)
    _write(work / "plan.json", asdict(plan))
    accumulation = plan.arguments["gradient_accumulation_steps"]
    config = accelerate_config(machine, bf16=plan.arguments["bf16"], accumulation=accumulation)
    _write(work / "accelerate.json", config)
    launched = launch(work / "accelerate.json", work / "plan.json", out / "train.log")
    follow(launched, out / LOG, out / "train.log", "training")
    if not Path(plan.result).is_file():
        raise RunError(f"the training stopped before its end; run the same command again; what it said is in {out}")


# --- after ----------------------------------------------------------------------------------------------------------


def _finish(plan: sft.Plan, prepared: _Prepared, out: Path, work: Path) -> None:
    """OUT/model: adapters merged, numbers as the base's, and a config that transformers 4 and 5 read alike."""
    whole, part = out / MODEL, work / "model.part"
    tuned = Path(plan.out)
    if plan.lora_rank is not None and not (out / ADAPTER).exists():
        shutil.copytree(tuned, work / "adapter.part", ignore=shutil.ignore_patterns("*.bin"), dirs_exist_ok=True)
        (work / "adapter.part").replace(out / ADAPTER)
    if not whole.exists():
        say("writing the tuned model")
        shutil.rmtree(part, ignore_errors=True)
        finish(work / "plan.json", tuned, part, out / "train.log")
        both_fields(part)
        raise_tokenizer_limit(part, reach(prepared.config).context)
        part.replace(whole)
    shutil.rmtree(tuned)


def _write_manifest(
    prepared: _Prepared, tokens: Tokens, settings: TrainSettings, plan: sft.Plan, out: Path, work: Path, about: _About
) -> None:
    chosen, before, after = prepared.chosen, reach(read_config(prepared.model)), reach(prepared.config)
    result = orjson.loads((work / "result.json").read_bytes())
    past = history.read(out / LOG)
    seconds = past.time_s
    manifest = {
        "format": 1,
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
        "machine": {"kind": prepared.machine.kind, **{name: result[name] for name in ("device", "processes")}},
        "examples": len(tokens.lengths),
        "tokens": {"an_epoch": tokens.total, "trained": tokens.trained, "longest": tokens.longest, "seen": past.tokens},
        "steps": result["steps"],
        "time_s": seconds,
        "tokens_per_s": past.tokens / seconds if seconds else None,
        "peak_memory_bytes": result["peak_memory_bytes"],
        "first_loss": past.first_loss,
        "last_loss": past.last_loss,
        "notes": list(about.notes),
    }
    _write(out / MANIFEST, manifest)


def _versions() -> dict[str, str | None]:
    """Of what took part; null where it is not installed."""
    found: dict[str, str | None] = {"select2reason": version("select2reason")}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _outcome(out: Path, *, again: bool) -> Trained:
    held = orjson.loads((out / MANIFEST).read_bytes())
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


def _write(file: Path, value: Mapping[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    part = file.with_name(file.name + ".part")
    part.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str) + b"\n")
    part.replace(file)
