"""The trainer's process: `python -m select2reason.backends.sft PLAN.json`, started by accelerate, once for each GPU.

It trains what `training.run` has prepared (token ids, a config, a plan) and writes a log, checkpoints and the tuned
weights; it decides nothing. With `--finish TUNED OUT` it makes the
tuned model whole.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WHOLE = "whole"  # in a checkpoint's folder: all of it is written


@dataclass(frozen=True, slots=True)
class Plan:
    """What the process is told; paths are absolute. `arguments` are SFTConfig's."""

    model: str
    config: str
    tokens: str
    out: str
    log: str
    result: str
    arguments: dict[str, Any]
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
    whole = [path.parent for path in checkpoints.glob(f"checkpoint-*/{_WHOLE}")]
    steps = {path: int(path.name.rpartition("-")[2]) for path in whole}
    return max(steps.items(), key=lambda item: item[1], default=None)


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
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=plan.resume)
    took = time.monotonic() - started
    if trainer.state.global_step < trainer.state.max_steps:  # told to stop: the checkpoint is written
        return
    trainer.save_model(plan.out)
    on_gpu = torch.cuda.is_available() and not arguments.use_cpu
    result = {
        "steps": trainer.state.global_step,
        "time_s": took,
        "processes": trainer.accelerator.num_processes,
        "device": torch.cuda.get_device_name() if on_gpu else "CPU",
        "peak_memory_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
    }
    if trainer.is_world_process_zero():
        Path(plan.result).write_text(json.dumps(result), encoding="utf-8")


def finish(plan: Plan, tuned: Path, out: Path) -> None:
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
        raise SystemExit(f"{plan.model} lacks weights ({', '.join(missing[:3])}); fetch it again")
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


def _callbacks(plan: Plan) -> list[Any]:
    from transformers import TrainerCallback

    class Told(TrainerCallback):
        """Writes the log, marks whole checkpoints, and stops, with a checkpoint, when nobody waits any more."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self._write(state, {"steps": state.max_steps, "from": state.global_step})

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            self._write(state, {"step": state.global_step, **(logs or {})})

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _WHOLE).touch()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if not _alive(plan.parent):
                control.should_save = control.should_training_stop = True

        def _write(self, state: Any, line: dict[str, Any]) -> None:
            if state.is_world_process_zero:
                with Path(plan.log).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line | {"at": time.time()}) + "\n")

    return [Told()]


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
    if words[1:2] == ["--finish"]:
        finish(plan, Path(words[2]), Path(words[3]))
    else:
        train(plan)


if __name__ == "__main__":
    main(sys.argv[1:])
