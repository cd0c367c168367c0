"""Opening Hugging Face models and tokenizers: safetensors only, no code from the model's folder unless asked for.

What the libraries raise is mapped here: every message names the fix.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from select2reason.errors import RunError, UsageError

_T = TypeVar("_T")
_EXTRA = {  # the extra that brings a package; `transformers` brings the others
    **{"openai": "openai", "vllm": "vllm", "huggingface_hub": "hub"},
    **dict.fromkeys(("trl", "accelerate", "datasets", "peft"), "train"),
}
_READ_WHOLE = 16 << 20  # bytes: of larger weight files, blocks that stand evenly apart stand for the whole
_BLOCKS, _BLOCK = 64, 128 << 10
_READ = (".json", ".safetensors", ".jinja", ".txt", ".model", ".py")  # files of a model's folder that may be read


def needs(*packages: str) -> None:
    """Raise UsageError, with the line that installs it, where a package is missing."""
    for package in packages:
        if find_spec(package) is None:
            extra = _EXTRA.get(package, "transformers")
            raise UsageError(f"this needs the package {package}: pip install 'select2reason[{extra}]'")


def trackers() -> list[str]:
    """The names by which the trainer knows its trackers, sorted."""
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    return sorted(INTEGRATION_TO_CALLBACK)


def best_device() -> str:
    """The first GPU, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def gpu_count() -> int:
    """GPUs that this process may use; 0 without torch, too."""
    if find_spec("torch") is None:
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def dtype_of(name: str | None, device: str) -> Any:
    """A torch type by name; unnamed: bfloat16 on a GPU, float32 on a CPU (there bfloat16 took 2 to 3 times as long)."""
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name is None:
        return torch.float32 if device == "cpu" else torch.bfloat16
    if name not in known:
        raise UsageError(f"--dtype {name} is not known; it can be {', '.join(known)}")
    return known[name]


def load_tokenizer(model: str, *, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """A model's tokenizer. Raises UsageError where it cannot be had."""
    from transformers import AutoTokenizer

    with_code = {"revision": revision, "trust_remote_code": trust_remote_code}
    return _opened(model, lambda: AutoTokenizer.from_pretrained(model, **with_code))


def load_config(model: str, *, trust_remote_code: bool = False) -> Any:
    """A model's configuration. Raises UsageError where it cannot be had, or is of code that may not run."""
    from transformers import AutoConfig

    return _opened(model, lambda: AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code))


def load_model(
    kind: str,
    model: str,
    *,
    device: str,
    dtype: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    **options: Any,
) -> Any:
    """A model of the class `kind` of transformers, ready to predict on `device`.

    Raises UsageError where it cannot be had.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    opened, found = _opened(
        model,
        lambda: getattr(transformers, kind).from_pretrained(
            model,
            revision=revision,
            dtype=dtype_of(dtype, device),
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **options,
        ),
    )
    if missing := sorted(found["missing_keys"]):  # the library would fill them with random numbers
        raise UsageError(f"{model} lacks weights ({', '.join(missing[:3])}); fetch it again, or give another --model")
    return _opened(model, lambda: opened.to(device).eval())


def _opened(model: str, load: Callable[[], _T]) -> _T:
    try:
        return load()
    except _wrong() as error:
        raise UsageError(f"the model {model} cannot be opened ({_short(error)}); {_fix_of(model, error)}") from error


def _wrong() -> tuple[type[Exception], ...]:
    """What the libraries raise for a model that is not there, damaged, too large or of an unknown kind."""
    from safetensors import SafetensorError

    return (OSError, ValueError, KeyError, ImportError, AttributeError, RuntimeError, SafetensorError)


def _short(error: Exception) -> str:
    words = " ".join(str(error).split())
    return words if len(words) <= 240 else words[:240] + " ..."


def _fix_of(model: str, error: Exception) -> str:
    text = str(error)
    if "trust_remote_code" in text:
        return "if you trust its code, add --trust-remote-code"
    if "safetensors" in text:
        return "only safetensors are read; convert its weights, or give another --model"
    if Path(model).exists():
        return "give a folder with config.json, safetensors and a tokenizer"
    return "give a folder, or a Hub id that this machine can reach"


def model_fingerprint(model: str, revision: str | None = None) -> str:
    """What names a model's weights: its files for a folder, the commit for a Hub id.

    Of large files the size and both ends are read. Raises UsageError where the model is nowhere to be had.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _of_files(folder)
    needs("transformers")
    from transformers.utils.hub import cached_file, extract_commit_hash

    config = _opened(model, lambda: cached_file(model, "config.json", revision=revision))
    commit = extract_commit_hash(config, None)
    if not commit:
        raise RunError(f"the Hub's cache does not say which commit of {model} it holds; give a folder with --model")
    return str(commit)


def _of_files(folder: Path) -> str:
    read = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in _READ)
    if not any(path.name == "config.json" for path in read):
        raise no_model(folder)
    return hashlib.sha256(json.dumps([_of_file(path) for path in read]).encode()).hexdigest()[:16]


def no_model(folder: Path) -> UsageError:
    """The error for a folder without a model; where it is a training's, the model is one further down."""
    inner = folder / "model"
    where = (
        f"{inner}" if (inner / "config.json").is_file() else "a folder with config.json, safetensors and a tokenizer"
    )
    return UsageError(f"{folder} holds no model; give {where}")


def _of_file(path: Path) -> Sequence[object]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _READ_WHOLE:
            return [path.name, size, hashlib.sha256(file.read()).hexdigest()]
        digest = hashlib.sha256()
        for block in range(_BLOCKS):
            file.seek((size - _BLOCK) * block // (_BLOCKS - 1))
            digest.update(file.read(_BLOCK))
        return [path.name, size, digest.hexdigest()]
