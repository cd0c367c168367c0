"""How the trainer is started: accelerate reads its configurations, and its last words become one line with a fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from select2reason.errors import RunError, UsageError
from select2reason.training import launching
from select2reason.training.launching import Kind, Machine, accelerate_config, follow, machine_for, start


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
    ("last", "told", "fix"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried", "CUDA out of memory", "use more GPUs, --lora"),
        ("[rank1]: RuntimeError: WandbCallback requires wandb to be installed. Run", "requires wandb", "--report-to"),
        ("ValueError: nobody knows\nbut here is why", "nobody knows but here is why", "mend it"),
    ],
)
def test_a_failure_is_one_line_with_its_fix(last: str, told: str, fix: str, tmp_path: Path) -> None:
    log, script = tmp_path / "train.log", tmp_path / "failing.py"
    log.write_text("KeyError: of an earlier run\n")
    words = f"Traceback (most recent call last):\n  ...\n{last}\nsubprocess.CalledProcessError: exit status 1\n"
    script.write_text(f"import sys\nsys.stderr.write({words!r})\nsys.exit(1)\n")
    (tmp_path / "log.jsonl").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        started = start(["failing"], log)
    with pytest.raises(RunError) as failure:
        follow(started, tmp_path / "log.jsonl", "training")
    assert told in str(failure.value)
    assert fix in str(failure.value)
    assert str(log) in str(failure.value)
    assert "earlier" not in str(failure.value)
    assert "CalledProcessError" not in str(failure.value)


def test_a_loss_that_is_no_number_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [{"steps": 3, "from": 0}, *({"step": step, "loss": None if step > 1 else 2.0} for step in (1, 2, 3))]
    (tmp_path / "speaking.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'log.jsonl')!r}).write_text("
        f"{''.join(json.dumps(line) + chr(10) for line in lines)!r})\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        started = start(["speaking"], tmp_path / "train.log")
    follow(started, tmp_path / "log.jsonl", "training")
    said = capsys.readouterr().err
    assert said.count("is no number") == 1
    assert "the loss of step 2 is no number" in said
