"""A model as a folder on disk: where a Hub id lies, what its weights come to. Nothing here loads a weight."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path

from select2reason.backends.loading import needs, no_model
from select2reason.errors import UsageError, first_line

_FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model")


def model_folder(model: str, revision: str | None = None, *, code: bool = False) -> Path:
    """The folder of a model: itself, or the copy of a Hub id in the Hub's cache, fetched where it is not there, with
    the `code` that comes with it only where that is asked for.

    Raises UsageError where it is no model's folder, or cannot be fetched.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise UsageError(f"--model-revision is for models of the Hub, and {model} is a folder; leave it out")
        if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
            raise no_model(folder)
        return folder
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise UsageError(f"no such folder: {model}; give a model's folder, or a Hub id")
    needs("huggingface_hub")
    import huggingface_hub
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        files = [*_FILES, "*.py"] if code else list(_FILES)
        fetched = huggingface_hub.snapshot_download(
            model, revision=revision, allow_patterns=files, ignore_patterns=["consolidated*", "original/*"]
        )
        return Path(fetched)
    except (HTTPError, OSError, ValueError) as error:
        fix = "check its name, or give a folder"
        raise UsageError(f"cannot fetch {model} from the Hub ({first_line(error)}); {fix}") from error


def parameters(folder: Path) -> int:
    """How many numbers a model's weights hold, read from the headers of its files."""
    return sum(prod(shape) for file in weight_files(folder) for shape in _shapes(file))


def weight_files(folder: Path) -> list[Path]:
    """A model's files of weights, without those that hold them once more under their maker's own names."""
    return sorted(file for file in folder.glob("*.safetensors") if not file.name.startswith("consolidated"))


def _shapes(file: Path) -> list[list[int]]:
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
        return [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    except (OSError, ValueError, struct.error, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise UsageError(f"{file} is damaged ({error}); fetch the model again") from error
