"""How the trainer is started: accelerate reads its configurations, and its last words become one line with a fix."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from select2reason.errors import RunError, UsageError
from select2reason.training import launching
from select2reason.training.launching import Kind, Machine, accelerate_config, follow, machine_for


@pytest.mark.parametrize(
    ("kind", "gpus", "distributed"),
    [("none", 0, "NO"), ("none", 1, "NO"), ("ddp", 8, "MULTI_GPU"), ("fsdp", 8, "FSDP"), ("zero2", 8, "DEEPSPEED"),
     ("zero3", 8, "DEEPSPEED")],
)  # fmt: skip
def test_accelerate_reads_what_is_written_for_it(kind: Kind, gpus: int, distributed: str, tmp_path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file  # type: ignore[import-untyped]

    file = tmp_path / "accelerate.json"
    file.write_text(json.dumps(accelerate_config(Machine(gpus, kind), bf16=bool(gpus), accumulation=4)))
    read: Any = load_config_from_file(str(file))
    assert str(read.distributed_type).rpartition(".")[2] == distributed
    assert (read.num_processes, read.use_cpu) == (max(1, gpus), not gpus)
    assert str(read.mixed_precision).rpartition(".")[2].lower() == ("bf16" if gpus else "no")
    if kind == "zero3":
        assert read.deepspeed_config["zero_stage"] == 3
        assert read.deepspeed_config["zero3_save_16bit_model"]


def test_several_gpus_share_by_zero3_or_fsdp(monkeypatch: pytest.MonkeyPatch) -> None:
    there = set[str]()
    monkeypatch.setattr(launching, "find_spec", lambda name: name if name in there else None)
    assert machine_for(0, "auto") == Machine(0, "none")
    assert machine_for(1, "zero3") == Machine(1, "none")
    assert machine_for(4, "auto") == Machine(4, "fsdp")
    with pytest.raises(UsageError, match="pip install deepspeed"):
        machine_for(4, "zero2")
    there.add("deepspeed")
    assert machine_for(4, "auto") == Machine(4, "zero3")


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried", "use more GPUs, --lora"),
        ("RuntimeError: WandbCallback requires wandb to be installed. Run", "--report-to"),
        ("ValueError: nobody knows", "see the log"),
    ],
)
def test_a_failure_is_one_line_with_its_fix(last: str, told: str, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(f"Traceback (most recent call last):\n  ...\n{last}\nsubprocess.CalledProcessError: exit status 1\n")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(RunError, match=told) as failure:
        follow(process, tmp_path / "log.jsonl", log, "training")
    assert last.partition(":")[0] in str(failure.value)
    assert str(log) in str(failure.value)
