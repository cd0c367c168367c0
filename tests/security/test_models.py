"""Model folders that want to run something: pickled weights, code of their own, templates that reach for the system.

Every test looks for a file that hostile code would make. Each way of opening a model is tried on each.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from select2reason.backends import BackendSettings, open_backend
from select2reason.errors import Select2ReasonError, UsageError

from ..tiny_chat_model import make_chat_model

pytest.importorskip("torch")
pytest.importorskip("transformers")


class Touching:
    """Pickled, it makes a file where it is opened."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return (Path.touch, (self.file,))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_chat_model(tmp_path_factory.mktemp("models") / "good", {"1": 0.6, "0": 0.3})


def judge(folder: Path) -> object:
    backend = open_backend(BackendSettings("transformers", str(folder)))
    return backend.label_logprobs([[{"role": "user", "content": "Is it hard?"}]], ["0", "1"])


def reward(folder: Path) -> object:
    from select2reason.backends.reward_model import Reading, TransformersRegressor

    return TransformersRegressor.open(str(folder), reading=Reading()).predict(["Is it hard?"])


def trained(folder: Path) -> object:
    """As the trainer's process opens what it is to train."""
    from select2reason.backends import sft
    from select2reason.backends.chat_format import open_chat
    from select2reason.backends.model_folder import model_folder

    found = model_folder(str(folder))
    open_chat(found, str(folder)).prompts(["system"], ["question"])
    plan = sft.Plan(**_plan(found))
    return sft._model(plan, "auto")


def _plan(folder: Path) -> dict[str, Any]:
    from dataclasses import fields

    from select2reason.backends import sft

    own = {"model": str(folder), "config": str(folder), "trust_remote_code": False, "attention": "sdpa"}
    return {field.name: own.get(field.name) for field in fields(sft.Plan)}


def refused(open_it: Callable[[Path], object], folder: Path, mark: Path) -> str:
    """The words with which a folder is refused; nothing ran."""
    with pytest.raises((Select2ReasonError, OSError, ValueError)) as error:
        open_it(folder)
    assert not mark.exists()
    return str(error.value)


EVERY = (judge, reward, trained)


def test_each_way_opens_a_model_that_wants_nothing(good: Path) -> None:
    for open_it in EVERY:
        assert open_it(good) is not None


@pytest.mark.parametrize("open_it", EVERY)
@pytest.mark.parametrize("zipped", [False, True])
def test_pickled_weights_are_refused_unread(
    good: Path, tmp_path: Path, open_it: Callable[[Path], object], zipped: bool
) -> None:
    import torch

    mark, folder = tmp_path / "ran", tmp_path / "model"
    shutil.copytree(good, folder)
    (folder / "model.safetensors").unlink()
    if zipped:
        torch.save(Touching(mark), folder / "pytorch_model.bin")
    else:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Touching(mark)))
        pickle.loads((folder / "pytorch_model.bin").read_bytes())  # it would run
        assert mark.exists()
        mark.unlink()
    assert "safetensors" in refused(open_it, folder, mark)


@pytest.mark.parametrize("open_it", EVERY)
def test_pickled_adapters_beside_a_model_are_refused_unread(
    good: Path, tmp_path: Path, open_it: Callable[[Path], object]
) -> None:
    pytest.importorskip("peft")
    mark, folder = tmp_path / "ran", tmp_path / "model"
    shutil.copytree(good, folder)
    about = {"peft_type": "LORA", "base_model_name_or_path": str(good), "r": 2, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(about))
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Touching(mark)))
    assert "safetensors" in refused(open_it, folder, mark)


@pytest.mark.parametrize("open_it", EVERY)
@pytest.mark.parametrize("model_type", ["llama", "one_of_its_own"])
def test_code_that_comes_with_a_model_does_not_run(
    good: Path, tmp_path: Path, open_it: Callable[[Path], object], model_type: str
) -> None:
    mark, folder = tmp_path / "ran", tmp_path / "model"
    shutil.copytree(good, folder)
    (folder / "own.py").write_text(
        f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass C: ...\nM = T = C\n", encoding="utf-8"
    )
    names = {"AutoConfig": "C", "AutoModelForCausalLM": "M", "AutoModelForSequenceClassification": "M"}
    _change(folder / "config.json", auto_map={k: f"own.{v}" for k, v in names.items()}, model_type=model_type)
    _change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.T", None]}, tokenizer_class="T")
    assert "custom code" in refused(open_it, folder, mark)


@pytest.mark.parametrize("open_it", [judge, trained])
def test_a_chat_template_has_no_way_to_the_system(
    good: Path, tmp_path: Path, open_it: Callable[[Path], object]
) -> None:
    mark, folder = tmp_path / "ran", tmp_path / "model"
    shutil.copytree(good, folder)
    for file in folder.glob("*.jinja"):
        file.unlink()
    reach = "{{ cycler.__init__.__globals__.os.system('touch " + str(mark) + "') }}"
    _change(
        folder / "tokenizer_config.json", chat_template=reach + "{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    assert "the chat template of" in refused(open_it, folder, mark)


def _change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_the_plan_for_several_gpus_asks_nobody_whether_code_may_run(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many GPUs a model takes is told by its configuration; where that is code, it once asked on the terminal."""
    import torch

    from select2reason.backends import gpus_each

    folder = tmp_path / "model"
    shutil.copytree(good, folder)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("GPU", (), {"total_memory": 1 << 30}))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked"))
    assert gpus_each(BackendSettings("vllm", str(folder))) == 1
    _change(folder / "config.json", auto_map={"AutoConfig": "own.C"}, model_type="one_of_its_own")
    with pytest.raises(UsageError, match="add --trust-remote-code"):
        gpus_each(BackendSettings("vllm", str(folder)))


def test_only_the_option_lets_a_model_s_code_run(good: Path, tmp_path: Path) -> None:
    """The mark is made where the user says so: the tests above look in the right place."""
    from select2reason.backends.loading import load_tokenizer

    mark, folder = tmp_path / "ran", tmp_path / "model"
    shutil.copytree(good, folder)
    (folder / "own.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\n", encoding="utf-8")
    _change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.T", None]}, tokenizer_class="T")
    with pytest.raises((UsageError, AttributeError)):
        load_tokenizer(str(folder), trust_remote_code=True)
    assert mark.exists()


def test_pickled_numbers_are_refused_unread(tmp_path: Path) -> None:
    """Of a reward model's folder: the weights of n-grams, and what it was trained on."""
    from select2reason.difficulty.reward import NgramModel
    from select2reason.difficulty.reward_folder import SavedReward

    mark = tmp_path / "ran"
    hostile = np.array([Touching(mark)], dtype=object)
    np.savez(tmp_path / "weights.npz", about=hostile, allow_pickle=True)
    np.save(tmp_path / "trained_on.npy", hostile, allow_pickle=True)
    with pytest.raises(UsageError, match="is no model of this version"):
        NgramModel.load(tmp_path)
    with pytest.raises(UsageError, match="cannot read"):
        SavedReward(tmp_path, {}).trained_on()
    assert not mark.exists()
    np.load(tmp_path / "trained_on.npy", allow_pickle=True)  # it would run
    assert mark.exists()
