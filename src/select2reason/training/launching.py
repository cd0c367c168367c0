"""How the trainer's process is started: accelerate's configuration for the machine, the process, its log, its end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import orjson

from select2reason.errors import RunError, UsageError
from select2reason.progress import say, stage
from select2reason.training.settings import Parallel

Kind = Literal["none", "ddp", "zero2", "zero3", "fsdp"]
_TRAINER = "select2reason.backends.sft"
_WAIT_S = 0.2
_GRACE_S = 2.0  # to end in good order; an interrupted command must have ended in 5 s
_ERROR = re.compile(
    r"(?m)^([\w.]*(?:Error|Exception|Interrupt)\b.*(?:\n(?!Traceback|[\w.]*(?:Error|Exception)\b)\S.*){0,2})"
)
_OF_LAUNCHERS = ("subprocess.CalledProcessError", "torch.distributed.elastic")
_LAST_WORDS = 20_000  # bytes of a log, where an error stands
_FIXES = (  # what the trainer's last words say, and what helps
    (r"OutOfMemoryError|out of memory", "the memory does not suffice; use more GPUs, --lora, or shorter examples"),
    (r"contains custom code", "if you trust its code, add --trust-remote-code"),
    (r"No space left on device", "the disk is full; free some space and run the same command again"),
    (r"requires (\w+) to be installed", "install it, or leave it out of --report-to"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """What trains: GPUs in use (0: the CPU), and how several share the work."""

    gpus: int
    kind: Kind

    @property
    def processes(self) -> int:
        """Processes of the trainer, one for each GPU."""
        return max(1, self.gpus)

    def __str__(self) -> str:
        if not self.gpus:
            return "the CPU"
        return "1 GPU" if self.gpus == 1 else f"{self.gpus} GPUs, {self.kind}"


def machine_for(gpus: int, parallel: Parallel) -> Machine:
    """How so many GPUs train one model. `auto` is ZeRO-3, as the paper's, where DeepSpeed is installed, else FSDP.

    Raises UsageError where DeepSpeed is asked for and missing.
    """
    if gpus < 2:
        return Machine(gpus, "none")
    deepspeed = find_spec("deepspeed") is not None
    kind = ("zero3" if deepspeed else "fsdp") if parallel == "auto" else parallel
    if kind.startswith("zero") and not deepspeed:
        raise UsageError(f"--parallel {kind} needs DeepSpeed: pip install deepspeed; or take --parallel fsdp")
    return Machine(gpus, kind)


def accelerate_config(machine: Machine, *, bf16: bool, accumulation: int) -> dict[str, Any]:
    """accelerate's configuration, as its own questions would write it."""
    config: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        "debug": False,
        "distributed_type": "NO",
        "downcast_bf16": "no",
        "machine_rank": 0,
        "main_training_function": "main",
        "mixed_precision": "bf16" if bf16 else "no",
        "num_machines": 1,
        "num_processes": machine.processes,
        "main_process_port": _free_port() if machine.processes > 1 else None,
        "rdzv_backend": "static",
        "same_network": True,
        "use_cpu": not machine.gpus,
    }
    if machine.kind == "ddp":
        return config | {"distributed_type": "MULTI_GPU", "gpu_ids": "all"}
    if machine.kind == "fsdp":
        sharded = {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_cpu_ram_efficient_loading": True,
            "fsdp_offload_params": False,
            "fsdp_reshard_after_forward": True,
            "fsdp_state_dict_type": "FULL_STATE_DICT",
        }
        return config | {"distributed_type": "FSDP", "fsdp_config": sharded}
    if machine.kind in ("zero2", "zero3"):
        whole = machine.kind == "zero3"
        zero: dict[str, Any] = {
            "zero_stage": 3 if whole else 2,
            "gradient_accumulation_steps": accumulation,
            "offload_optimizer_device": "none",
            "offload_param_device": "none",
            "zero3_init_flag": whole,
        }
        if whole:
            zero["zero3_save_16bit_model"] = True
        return config | {"distributed_type": "DEEPSPEED", "deepspeed_config": zero}
    return config


def _free_port() -> int:
    """So that a second training on this machine does not meet the first."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Started:
    """A process that was started, the log that it speaks into, and how long that was before."""

    process: subprocess.Popen[bytes]
    log: Path
    before: int


def launch(config: Path, plan: Path, log: Path) -> Started:
    """Start the trainer under accelerate, in a process group of its own, what it says going into `log`."""
    return start(["accelerate.commands.launch", "--config_file", str(config), "--module", _TRAINER, str(plan)], log)


def finish(plan: Path, tuned: Path, out: Path, log: Path) -> None:
    """Make the tuned model whole in a process of its own, so that this one never holds weights.

    Raises RunError with its last words where it fails.
    """
    _wait(start([_TRAINER, str(plan), "--finish", str(tuned), str(out)], log))


def start(module: Sequence[str], log: Path) -> Started:
    """Start a module of Python's, in a process group of its own."""
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONUNBUFFERED": "1"}
    with log.open("ab") as said:
        before = said.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            env=os.environ | quiet,
        )
    return Started(process, log, before)


def follow(started: Started, lines: Path, label: str) -> None:
    """Wait for the trainer, showing its steps; it is ended with this program.

    Raises RunError with its last words where it fails.
    """
    try:
        told = _told(started.process, lines)
        begun = next((line for line in told if "from" in line), None)
        if begun is not None:
            _show(told, begun, label)
    except BaseException:
        end(started.process)
        raise
    _wait(started)


def _wait(started: Started) -> None:
    try:
        code = started.process.wait()
    finally:
        end(started.process)
    if code:
        raise RunError(_why(started))


def _show(told: Iterator[Mapping[str, Any]], begun: Mapping[str, Any], label: str) -> None:
    done, lost = int(begun["from"]), False
    if done:
        say(f"{label} goes on after step {done:,} of {begun['steps']:,}")
    with stage(label, begun["steps"] - done, unit="steps") as advance:
        for line in told:
            if "loss" not in line:
                continue
            if line["loss"] is None and not lost:
                lost = True
                say(
                    f"note: the loss of step {line['step']:,} is no number: the training has run away; end it, and "
                    "begin anew with a lower --learning-rate"
                )
            advance(line["step"] - done)
            done = line["step"]


def _told(process: subprocess.Popen[bytes], lines: Path) -> Iterator[Mapping[str, Any]]:
    """The lines that this run adds to the log, as they come, until the process has ended."""
    read = lines.stat().st_size if lines.exists() else 0
    while True:
        over = process.poll() is not None
        text = lines.read_bytes()[read:] if lines.exists() else b""
        text = text[: text.rfind(b"\n") + 1]
        read += len(text)
        yield from (orjson.loads(line) for line in text.splitlines())
        if over:
            return
        time.sleep(_WAIT_S)


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started, which may outlive it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE_S)
    process.wait()


def _why(started: Started) -> str:
    """The last error in what was said since the start, as one line with its fix."""
    with started.log.open("rb") as file:
        file.seek(max(started.before, started.log.stat().st_size - _LAST_WORDS))
        text = re.sub(r"(?m)^\[rank\d+\]:\s?", "", file.read().decode(errors="replace"))
    fix = next(
        (fix for pattern, fix in _FIXES if re.search(pattern, text)),
        "see what it said, mend it, and the same command goes on",
    )
    errors = [found for found in _ERROR.findall(text) if not found.startswith(_OF_LAUNCHERS)]
    head = " ".join(errors[-1].split())[:300] if errors else "it ended without a word"
    return f"the training failed ({head}); {fix}; all it said is in {started.log}"
