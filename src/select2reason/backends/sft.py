"""The trainer's process: `python -m select2reason.backends.sft PLAN.json`, started by accelerate, once for each GPU.

It trains what `training.run` has prepared (token ids, a config, a plan) and writes a log, checkpoints and the tuned
weights; it decides nothing. With `--finish TUNED OUT` it makes the tuned model whole.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from select2reason.files import write_json

_WHOLE = "whole"  # in a checkpoint's folder: all of it is on the disk
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the process is told; paths are absolute. `arguments` are SFTConfig's, `keep` how many checkpoints stay,
    `lock` a file that is locked as long as a trainer runs, `parent` the process that waits for it."""

    model: str
    config: str
    tokens: str
    out: str
    log: str
    result: str
    lock: str
    arguments: dict[str, Any]
    keep: int
    dtype: str
    saved_dtype: str
    attention: str
    template: str
    end_token: str
    trust_remote_code: bool
    lora_rank: int | None
    resume: str | None
    parent: int


def last_whole(checkpoints: Path) -> tuple[Path, int] | None:
    """The latest checkpoint that was written to its end, and its step; None where there is none."""
    return max(((path, step) for step, path in _whole(checkpoints)), key=lambda one: one[1], default=None)


def _whole(checkpoints: Path) -> list[tuple[int, Path]]:
    marks = checkpoints.glob(f"checkpoint-*/{_WHOLE}")
    return sorted((int(mark.parent.name.rpartition("-")[2]), mark.parent) for mark in marks)


def train(plan: Plan) -> None:
    """Train, and leave the tuned weights, or the adapters, in `plan.out`."""
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(**plan.arguments)  # before the model: ZeRO-3 changes how that is made
    trainer = SFTTrainer(
        model=_model(plan, getattr(torch, plan.dtype)),
        args=arguments,
        train_dataset=Dataset.from_file(plan.tokens),
        processing_class=_tokenizer(plan),
        peft_config=_adapters(plan),
        callbacks=_callbacks(plan),
    )
    trainer.train(resume_from_checkpoint=plan.resume)
    if trainer.state.global_step < trainer.state.max_steps:  # told to stop: the checkpoint is written
        return
    trainer.save_model(plan.out)
    on_gpu = torch.cuda.is_available() and not arguments.use_cpu
    if trainer.is_world_process_zero():
        peak = torch.cuda.max_memory_allocated() if on_gpu else None
        write_result(Path(plan.result), trainer.state.global_step, peak)


def write_result(file: Path, steps: int, peak_memory_bytes: int | None) -> None:
    """The last words of a training: it is done, and the tuned weights are whole."""
    write_json(file, {"steps": steps, "peak_memory_bytes": peak_memory_bytes})


def make_whole(plan: Plan, tuned: Path, out: Path) -> None:
    """Write the tuned model whole, in the base's type of number: adapters merged into the base, or the weights as
    trained. It stops at the turn's end, whatever ended the base's texts."""
    import torch

    dtype = getattr(torch, plan.saved_dtype)
    if plan.lora_rank is not None:
        from peft import PeftModel

        model: Any = PeftModel.from_pretrained(_model(plan, dtype), str(tuned)).merge_and_unload()
    else:
        model = _model(plan, dtype, weights=str(tuned))
    tokenizer = _tokenizer(plan)
    ends = model.generation_config.eos_token_id
    known = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    end = tokenizer.convert_tokens_to_ids(plan.end_token)
    model.generation_config.eos_token_id = list(dict.fromkeys([end, *known]))
    model.config.eos_token_id = end
    model.config.use_cache = True  # the trainer switches it off
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


# --- what is trained ------------------------------------------------------------------------------------------------


def _model(plan: Plan, dtype: Any, *, weights: str | None = None) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(plan.config, trust_remote_code=plan.trust_remote_code)
    opened: Any = AutoModelForCausalLM.from_pretrained(
        weights or plan.model,
        config=config,
        dtype=dtype,
        attn_implementation=plan.attention,
        trust_remote_code=plan.trust_remote_code,
        use_safetensors=True,
        output_loading_info=True,
    )
    model, found = opened
    if missing := sorted(found["missing_keys"]):  # the library would fill them with random numbers
        raise RuntimeError(f"{plan.model} lacks weights ({', '.join(missing[:3])}); fetch it again")
    if not model.generation_config.do_sample:  # with them it could be loaded, but no checkpoint be saved
        for name in _SAMPLING:
            setattr(model.generation_config, name, None)
    return model


def _tokenizer(plan: Plan) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(plan.model, trust_remote_code=plan.trust_remote_code)
    tokenizer.chat_template = plan.template
    tokenizer.eos_token = plan.end_token
    if tokenizer.pad_token is None:
        tokenizer.pad_token = plan.end_token  # labels say what is trained, so padding may look like an end
    return tokenizer


def _adapters(plan: Plan) -> Any:
    if plan.lora_rank is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=plan.lora_rank, lora_alpha=2 * plan.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )


# --- what is told and kept ------------------------------------------------------------------------------------------


def _callbacks(plan: Plan) -> list[Any]:
    import torch
    from transformers import TrainerCallback

    class Told(TrainerCallback):
        """Writes the log, marks whole checkpoints, and stops, with a checkpoint, when nobody waits any more."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            state.compute_steps(args, state.max_steps)  # as asked for now, and not as the checkpoint remembers
            device = torch.cuda.get_device_name() if args.device.type == "cuda" else "CPU"
            begun = {"steps": state.max_steps, "from": state.global_step, "device": device}
            self._write(state, begun | {"processes": args.world_size})

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            self._write(state, {"step": state.global_step, **(logs or {})})

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            _together()
            if state.is_world_process_zero:
                _mark(Path(args.output_dir), state.global_step, plan.keep)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if _any_of_all(state.is_world_process_zero and not _alive(plan.parent), args.device):
                control.should_save = control.should_training_stop = True

        def _write(self, state: Any, line: Mapping[str, Any]) -> None:
            if state.is_world_process_zero:
                finite = {name: _finite(value) for name, value in line.items()}
                with Path(plan.log).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(finite | {"at": time.time()}) + "\n")

    return [Told()]


def _mark(checkpoints: Path, step: int, keep: int) -> None:
    """Mark a checkpoint that is on the disk, and only then remove older ones, marks first: a kill at any moment leaves
    one that is marked and whole."""
    os.sync()
    (checkpoints / f"checkpoint-{step}" / _WHOLE).touch()
    kept = {path for _, path in _whole(checkpoints)[-keep:]}
    for path in checkpoints.glob("checkpoint-*"):
        if path not in kept:
            (path / _WHOLE).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)


def _together() -> None:
    """Wait for all processes."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def _part() -> None:
    """Leave the others in good order: gloo's threads, when the interpreter ends under them, now and then abort it."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _any_of_all(said: bool, device: Any) -> bool:
    """Whether any process says so: all must stop at the same step."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return said
    votes = torch.tensor(int(said), device=device)
    torch.distributed.all_reduce(votes)
    return bool(votes)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main(words: list[str]) -> None:
    """Train by a plan, or with `--finish TUNED OUT` make the tuned model whole."""
    warnings.filterwarnings("ignore", message=".*use_liger_kernel.*", category=FutureWarning)
    plan = Plan(**json.loads(Path(words[0]).read_text(encoding="utf-8")))
    with Path(plan.lock).open("a") as lock:
        if os.environ.get("RANK", "0") == "0":
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _alive(plan.parent):  # it was killed meanwhile, and another may begin
                raise SystemExit(f"nobody waits for this training any more ({plan.parent} is gone)")
        if words[1:2] == ["--finish"]:
            make_whole(plan, Path(words[2]), Path(words[3]))
        else:
            train(plan)
            _part()  # after a failure of one the others may wait for it


if __name__ == "__main__":
    main(sys.argv[1:])
