"""Training by the command that users type, on a tiny model: it learns, it survives being killed, it is done once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from select2reason.errors import OutputError, UsageError
from select2reason.extension import Extension
from select2reason.pipeline import select
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings
from select2reason.training import Means, TrainSettings, train
from select2reason.training import run as running
from select2reason.training.launching import Machine, accelerate_config, follow, launch

from ..conftest import WriteRows
from ..tiny_chat_model import make_chat_model

STEPS = 28  # not a whole number of epochs


@pytest.fixture
def selection(write_rows: WriteRows, tmp_path: Path) -> Path:
    rows = [
        {"question": f"What is {n} + {n}?", "response": f"<think>\n{n} twice.\n</think>\n\nIt is {2 * n}.", "h": n}
        for n in range(12)
    ]
    pool = PoolSettings((str(write_rows(rows)),))
    chosen = SelectSettings(rows=12, preset="paper")
    select(pool, ScoreSettings(difficulty="column:h"), chosen, tmp_path / "selection")
    return tmp_path / "selection"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_chat_model(tmp_path / "model")


def command(selection: Path, model: Path, out: Path, *words: str) -> list[str]:
    own = [sys.executable, "-m", "select2reason", "train", str(selection), "--model", str(model), "--out", str(out)]
    fixed = ["--max-steps", str(STEPS), "--save-every", "5", "--batch-size", "2", "--learning-rate", "2e-3", "--json"]
    return [*own, *fixed, *words]


def run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def losses(out: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines() if line.endswith("}")]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def kill_at(step: int, out: Path, words: Sequence[str]) -> None:
    """Kill the command and all that it started, at once, when a step is in the log."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (out / "log.jsonl").exists() or max(losses(out), default=0) < step:
        assert process.poll() is None
        time.sleep(0.01)
    for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_training_comes_to_the_same_as_one_left_in_peace(selection: Path, model: Path, tmp_path: Path) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    first = json.loads(run(command(selection, model, calm)).stdout)
    assert (first["steps"], first["examples"], first["again"]) == (STEPS, 12, False)
    assert first["last_loss"] < 0.8 * first["first_loss"]
    kill_at(15, killed, command(selection, model, killed))
    assert max(losses(killed)) < STEPS
    again = run(command(selection, model, killed))
    assert "goes on after step" in again.stderr
    assert json.loads(again.stdout)["steps"] == STEPS
    assert losses(killed) == pytest.approx(losses(calm), abs=1e-4)
    manifest = json.loads((killed / "manifest.json").read_text())
    assert manifest["tokens"]["seen"] == json.loads((calm / "manifest.json").read_text())["tokens"]["seen"]
    _loads_and_stops(killed / "model")
    once_more = run(command(selection, model, killed))
    assert "trained already" in once_more.stderr
    assert json.loads(once_more.stdout)["again"]
    changed = subprocess.run(command(selection, model, killed, "--seed", "7"), capture_output=True, text=True)
    assert changed.returncode == 2
    assert "a training with another --seed (42, not 7); choose another --out" in changed.stderr


def _loads_and_stops(folder: Path) -> None:
    """The tuned model opens, in the base's numbers, and ends where a turn does."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tuned = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tuned.dtype == torch.float32
    assert tuned.generation_config.eos_token_id == [tokenizer.convert_tokens_to_ids("<|end|>")]
    config = json.loads((folder / "config.json").read_text())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 10_000
    assert config["use_cache"]


def test_adapters_are_merged_and_kept_apart_too(selection: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = json.loads(run(command(selection, model, out, "--lora", "--rope-theta", "3e5", "--context", "1024")).stdout)
    assert done["last_loss"] < done["first_loss"]
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert not (out / "model" / "adapter_config.json").exists()
    config = json.loads((out / "model" / "config.json").read_text())
    assert (config["rope_theta"], config["max_position_embeddings"]) == (300_000, 1_024)
    assert config["rope_parameters"]["rope_theta"] == 300_000
    assert json.loads((model / "config.json").read_text())["max_position_embeddings"] == 512
    before = losses(out)
    for name in ("manifest.json", "work/result.json"):  # as a kill after the last step leaves it
        (out / name).unlink()
    for name in ("model", "adapter"):
        shutil.rmtree(out / name)
    words = command(selection, model, out, "--lora", "--rope-theta", "3e5", "--context", "1024")
    assert json.loads(run(words).stdout)["steps"] == STEPS
    assert losses(out) == before
    assert (out / "model" / "model.safetensors").is_file()
    assert not {"whole", "trainer_state.json", "optimizer.pt"} & {path.name for path in (out / "adapter").iterdir()}


# --- what is refused before anything long starts --------------------------------------------------------------------


def test_rows_longer_than_the_context_are_refused_with_their_number(selection: Path, tmp_path: Path) -> None:
    model = make_chat_model(tmp_path / "short", context=140)
    settings = TrainSettings(str(model))
    with pytest.raises(
        UsageError, match=r"\d+ of 12 examples are longer than .* 140 tokens \(the longest \d+\); raise"
    ):
        train(selection, tmp_path / "out", settings)
    assert not (tmp_path / "out" / "model").exists()
    with pytest.raises(UsageError, match="no multiple"):  # a longer context is not another training there: none began
        train(
            selection,
            tmp_path / "out",
            replace(settings, extension=Extension(context=4_096), batch=3, per_device=2),
        )


def test_what_is_not_a_training_s_is_left_alone(selection: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("long work")
    with pytest.raises(OutputError, match="holds something else"):
        train(selection, tmp_path / "thesis", TrainSettings(str(model)))


def test_a_selection_that_was_changed_is_refused(selection: Path, model: Path, tmp_path: Path) -> None:
    file = next((selection / "data").iterdir())
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(UsageError, match="was changed since it was selected"):
        train(selection, tmp_path / "out", TrainSettings(str(model)))


@pytest.mark.parametrize(("name", "told"), [("nothing", "no such folder"), ("selection", "holds no model")])
def test_what_is_no_model_is_one_line(name: str, told: str, selection: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        train(selection, tmp_path / "out", TrainSettings(str(tmp_path / name)), Means())


def test_a_training_s_folder_leads_to_its_model(selection: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "tuned").mkdir()
    model.rename(tmp_path / "tuned" / "model")
    with pytest.raises(UsageError, match=r"tuned holds no model; give .*tuned/model"):
        train(selection, tmp_path / "out", TrainSettings(str(tmp_path / "tuned")))


@pytest.mark.parametrize(
    ("means", "told"),
    [
        (Means(attention="nonsense"), "--attention nonsense is not known; it can be sdpa"),
        (Means(attention="flash_attention_2"), "pip install flash-attn"),
        (Means(liger="on"), "pip install liger-kernel"),
        (Means(report_to=("nonsense",)), "--report-to nonsense is not known; it can be .*wandb"),
    ],
)
def test_what_the_trainer_does_not_know_is_refused_first(
    means: Means, told: str, selection: Path, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told):
        train(selection, tmp_path / "out", TrainSettings(str(model)), means)
    assert not (tmp_path / "out").exists()


def test_what_is_no_selection_is_one_line(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no selection"):
        train(model, tmp_path / "out", TrainSettings(str(model)))


# --- several processes ----------------------------------------------------------------------------------------------


def test_two_processes_come_to_the_losses_of_one(
    selection: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_tidy", lambda work: None)  # the tokens are needed once more
    one, two = tmp_path / "one", tmp_path / "two"
    train(selection, one, TrainSettings(str(model), max_steps=4, batch=2, learning_rate=2e-3))
    two.mkdir()
    plan = json.loads((one / "work" / "plan.json").read_text())
    paths = {
        "lock": str(two / "lock"),
        "out": str(two / "tuned"),
        "log": str(two / "log.jsonl"),
        "result": str(two / "result.json"),
    }
    alike = {"output_dir": str(two / "checkpoints"), "gradient_accumulation_steps": 1}
    plan |= paths | {"parent": os.getpid(), "arguments": plan["arguments"] | alike}
    (two / "plan.json").write_text(json.dumps(plan))
    config = accelerate_config(Machine(2, "fsdp"), bf16=False, accumulation=1) | {"use_cpu": True}  # DDP, on CPUs
    (two / "accelerate.json").write_text(json.dumps(config))
    started = launch(two / "accelerate.json", two / "plan.json", two / "train.log")
    follow(started, two / "log.jsonl", "training")
    begun = json.loads((two / "log.jsonl").read_text().splitlines()[0])
    assert begun["processes"] == 2
    assert losses(two) == pytest.approx(losses(one), abs=1e-3)
    assert len(list((two / "tuned").glob("*.safetensors"))) == 1
