"""TRAIN from top to bottom: open the selection, look at the model, encode, launch, finish, write down what was done.

OUT/model is the tuned model, put in place when whole (OUT/adapter the adapters alone, with LoRA); OUT/checkpoints lets
a run that is killed go on; OUT/log.jsonl holds every step's loss, OUT/train.log all that the trainer said; and
OUT/manifest.json, written last, says what it came from. OUT/work can be made anew at any time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson

from select2reason.backends import sft
from select2reason.backends.chat_format import ChatFormat, open_chat
from select2reason.backends.loading import gpu_count, model_fingerprint, needs
from select2reason.backends.model_folder import model_folder, parameters
from select2reason.chosen import Chosen, open_chosen
from select2reason.errors import OutputError, RunError, UsageError
from select2reason.extension import (
    advice,
    extended,
    raise_tokenizer_limit,
    reach,
    read_config,
    readable_by_both,
    tokenizer_readable_by_both,
    told,
)
from select2reason.files import locked, write_json
from select2reason.progress import say, stage
from select2reason.tokens import load_tokenizer
from select2reason.training import history
from select2reason.training.encoding import Tokens, encode
from select2reason.training.launching import Machine, accelerate_config, finish, follow, launch, machine_for
from select2reason.training.planning import (
    CHECKPOINTS,
    LOCK,
    LOG,
    RESULT,
    TOKENS,
    TUNED,
    Prepared,
    batch_of,
    check_means,
    make_plan,
)
from select2reason.training.record import MANIFEST, MODEL, About, Trained, read_outcome, write_manifest
from select2reason.training.settings import Means, TrainSettings

_ADAPTER = "adapter"
_NAMES = ("model", "revision")  # what the weights are called; their fingerprint counts
_NOTE = "settings.json"  # in OUT/work
_STATE = (  # of a checkpoint, what is not the model
    *("*.pt", "*.pth", "*.bin", "global_step*", "pytorch_model_fsdp*", "optimizer_*"),
    *("trainer_state.json", "whole", "latest", "zero_to_fp32.py"),
)
_SMALL = 3_200_000_000  # parameters: models called 3B have up to 3.1 billion


def train(
    selection: Path | str, out: Path | str, settings: TrainSettings, means: Means | None = None, *, command: str = ""
) -> Trained:
    """Train a model on a selection. Run again, a killed training goes on from its last checkpoint, and one that is done
    is left as it is.

    Raises UsageError where selection, model or settings cannot be used together, RunError where the trainer fails.
    """
    selection, out, means = Path(selection), Path(out), means or Means()
    needs("trl", "accelerate", "datasets", "torch", "transformers", *(["peft"] if settings.lora else []))
    check_means(means)
    chosen = open_chosen(selection)
    folder = model_folder(settings.model, settings.revision, code=settings.trust_remote_code)
    machine = machine_for(gpu_count(), means.parallel)
    if means.parallel != "auto" and machine.gpus < 2:
        say(f"note: --parallel {means.parallel} is for several GPUs; this trains on {machine}")
    settings = replace(settings, batch=batch_of(settings, machine))  # so that other GPUs later change nothing unseen
    weights = model_fingerprint(str(folder))
    identity = {"selection": chosen.digest, "weights": weights, **settings.described, **_sharing(machine)}
    with _claimed(out, identity) as work:
        if (out / MANIFEST).is_file():
            _tidy(work)
            say(f"{out} is trained already; nothing is done again")
            return read_outcome(out, again=True)
        prepared = _prepare(chosen, folder, settings, machine)
        tokens = _encoded(prepared, work)
        notes = (*prepared.notes, *_refuse_or_note(prepared, tokens, settings))
        _write_config(prepared, settings, work / "config")
        plan = make_plan(prepared, tokens, settings, means, out, work)
        for note in notes:
            say(f"note: {note}")
        _run(plan, prepared.machine, out, work)
        _finish(plan, prepared, out, work)
        about = About(command, weights, notes)
        write_manifest(prepared, tokens, settings, plan, out, work, about)
        _tidy(work)
    done = read_outcome(out, again=False)
    for note in done.notes[len(notes) :]:
        say(f"note: {note}")
    return done


# --- before ---------------------------------------------------------------------------------------------------------


def _sharing(machine: Machine) -> dict[str, Any]:
    """What a checkpoint's form depends on: one that several GPUs share is read by as many alone, shared alike."""
    shared = machine.kind not in ("none", "ddp")
    return {"parallel": machine.kind if shared else "whole", "gpus": machine.gpus if shared else None}


@contextmanager
def _claimed(out: Path, identity: Mapping[str, Any]) -> Iterator[Path]:
    """OUT/work, for these settings alone, locked against a second command, and a trainer that outlived its own."""
    work = out / "work"
    with ExitStack() as held:
        try:
            if out.is_dir() and any(path.name != work.name for path in out.iterdir()) and not (work / _NOTE).is_file():
                raise OutputError(f"{out} holds something else; choose another --out")
            work.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(work / "lock", f"{out} is being trained"))
            with locked(work / LOCK, f"{out} is being trained"):
                _same(work / _NOTE, identity, out)
        except OSError as error:
            raise OutputError(f"cannot use {out} ({error}); choose another --out") from error
        yield work


def _same(note: Path, identity: Mapping[str, Any], out: Path) -> None:
    """Keep what decides the outcome; refuse another where anything was trained already."""
    wanted = orjson.loads(orjson.dumps(identity))
    done = any(file.exists() for file in (out / MANIFEST, out / MODEL, note.with_name(RESULT)))
    if note.is_file() and (done or sft.last_whole(out / CHECKPOINTS) is not None):
        held = _held(note, out)
        if unknown := sorted(set(held) - set(wanted)):
            told = f"{out} holds a training by another version of select2reason (its settings have {unknown[0]})"
            raise OutputError(f"{told}; go on with that one, or choose another --out")
        if differ := [name for name in wanted if name not in _NAMES and held.get(name) != wanted[name]]:
            words = ", ".join(f"{_option(name)} ({held.get(name)!s:.40}, not {wanted[name]!s:.40})" for name in differ)
            raise OutputError(f"{out} holds a training with another {words}; choose another --out")
    write_json(note, wanted)


def _held(note: Path, out: Path) -> dict[str, Any]:
    try:
        held = orjson.loads(note.read_bytes())
    except orjson.JSONDecodeError as error:
        raise OutputError(f"{note} is damaged ({error}); choose another --out") from error
    if not isinstance(held, dict):
        raise OutputError(f"{note} is damaged; choose another --out")
    return held


def _option(name: str) -> str:
    """A setting as it is typed, or what it is called where it is not."""
    told = {"batch": "--batch-size", "extension": "--rope-theta or --context", "gpus": "number of GPUs"}
    return told.get(name, name if name in ("selection", "weights") else f"--{name.replace('_', '-')}")


def _prepare(chosen: Chosen, folder: Path, settings: TrainSettings, machine: Machine) -> Prepared:
    chat = open_chat(folder, settings.model, trust_remote_code=settings.trust_remote_code)
    before = read_config(folder)
    config = extended(before, settings.extension)
    size = parameters(folder)
    far = reach(config)
    context = f", context {far.context:,}" if far.context else ""
    say(f"model: {settings.model}, {_short(size)} parameters{context}")
    for line in told(before, config):
        say(f"model: {line}, in a copy of its config")
    return Prepared(chosen, folder, config, chat, machine, tuple(_model_notes(size, chat)))


def _short(size: int) -> str:
    words = ((1e9, "billion"), (1e6, "million"))
    return next((f"{size / unit:,.3g} {word}" for unit, word in words if size >= unit), f"{size:,}")


def _model_notes(size: int, chat: ChatFormat) -> Iterator[str]:
    if size <= _SMALL:
        yield "models of 3B parameters and less can get worse by long thoughts (arXiv 2506.07712): evaluate both"
    if not chat.own:
        yield "the model brings no chat template; it is taught Qwen2.5's ChatML, which is saved with it"


def _write_config(prepared: Prepared, settings: TrainSettings, folder: Path) -> None:
    """The config with the longer context, and the code that it may name."""
    folder.mkdir(exist_ok=True)
    write_json(folder / "config.json", prepared.config)
    for file in prepared.model.glob("*.py") if settings.trust_remote_code else ():
        shutil.copyfile(file, folder / file.name)


def _encoded(prepared: Prepared, work: Path) -> Tokens:
    tokenizer = load_tokenizer(str(prepared.model))
    with stage("encoding", prepared.chosen.rows) as advance:
        return encode(prepared.chosen, prepared.chat, tokenizer, work / TOKENS, advance=advance)


def _refuse_or_note(prepared: Prepared, tokens: Tokens, settings: TrainSettings) -> Iterator[str]:
    context = reach(prepared.config).context
    if context is not None and tokens.longest > context:
        over = int((tokens.lengths > context).sum())
        raise UsageError(
            f"{over:,} of {len(tokens.lengths):,} examples are longer than the model's context of {context:,} tokens "
            f"(the longest {tokens.longest:,}); raise it with {advice(reach(prepared.config), tokens.longest)}, "
            f"or select again with --cutoff-len {context}"
        )
    if settings.batch is not None and settings.batch > len(tokens.lengths):
        yield f"a step takes {settings.batch:,} examples, there are {len(tokens.lengths):,}; a lower --batch-size helps"
    if tokens.unopened:
        yield (
            f"the model's chat opens a thought; {tokens.unopened:,} of {len(tokens.lengths):,} examples have none, and "
            "are taught after a prompt that opens none"
        )
    if tokens.total != prepared.chosen.tokens:
        yield (
            f"the selection counted {prepared.chosen.tokens:,} tokens; in this model's tokens and chat format they are "
            f"{tokens.total:,}"
        )


# --- the trainer ----------------------------------------------------------------------------------------------------


def _run(plan: sft.Plan, machine: Machine, out: Path, work: Path) -> None:
    """Train, unless all that was done and the end alone is missing."""
    write_json(work / "plan.json", asdict(plan))
    if Path(plan.result).is_file() and Path(plan.out).is_dir():
        return
    began = sft.last_whole(out / CHECKPOINTS)
    history.forget_after(out / LOG, 0 if began is None else began[1])
    shutil.rmtree(plan.out, ignore_errors=True)
    if began is not None and _is_last(began[0]):
        _take(began[0], began[1], plan)
        return
    accumulation = plan.arguments["gradient_accumulation_steps"]
    config = accelerate_config(machine, bf16=plan.arguments["bf16"], accumulation=accumulation)
    write_json(work / "accelerate.json", config)
    follow(launch(work / "accelerate.json", work / "plan.json", out / "train.log"), out / LOG, "training")
    if not Path(plan.result).is_file():
        raise RunError(f"the training stopped before its end; run the same command again; what it said is in {out}")


def _is_last(checkpoint: Path) -> bool:
    """Whether a checkpoint is of the last step: gone on from there, the trainer would take one more."""
    state = json.loads((checkpoint / "trainer_state.json").read_bytes())  # its losses may be NaN
    return bool(state["global_step"] >= state["max_steps"])


def _take(checkpoint: Path, step: int, plan: sft.Plan) -> None:
    """The weights of the last step's checkpoint as the trained ones: the trainer was killed before it wrote them."""
    shutil.copytree(checkpoint, plan.out, ignore=shutil.ignore_patterns(*_STATE))
    sft.write_result(Path(plan.result), step, None)


# --- after ----------------------------------------------------------------------------------------------------------


def _finish(plan: sft.Plan, prepared: Prepared, out: Path, work: Path) -> None:
    """OUT/model: adapters merged, numbers as the base's, and a config that transformers 4 and 5 read alike."""
    whole, part = out / MODEL, work / "model.part"
    tuned = Path(plan.out)
    if plan.lora_rank is not None and not (out / _ADAPTER).exists():
        others = shutil.ignore_patterns("*.bin", "README.md")  # a card without a word in it
        shutil.copytree(tuned, work / "adapter.part", ignore=others, dirs_exist_ok=True)
        tokenizer_readable_by_both(work / "adapter.part")
        (work / "adapter.part").replace(out / _ADAPTER)
    if not whole.exists():
        say("writing the tuned model")
        shutil.rmtree(part, ignore_errors=True)
        finish(work / "plan.json", tuned, part, out / "train.log")
        readable_by_both(part)
        raise_tokenizer_limit(part, reach(prepared.config).context)
        part.replace(whole)


def _tidy(work: Path) -> None:
    """Let go of what is large; the small files say how it was done."""
    shutil.rmtree(work / TUNED, ignore_errors=True)
    for file in (work / TOKENS, work.parent / CHECKPOINTS / "README.md", *work.glob("cache-*.arrow")):
        file.unlink(missing_ok=True)
