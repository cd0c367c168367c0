"""A longer context for a model (METHOD 6): rope_theta and max_position_embeddings raised in a copy of its config.

Both the field that transformers 4 reads (`rope_theta`) and the one that 5 reads (`rope_parameters.rope_theta`) are set:
where only one is, the other version goes on with the old value and says nothing. Weights are not touched.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from select2reason.errors import UsageError

PAPER_ROPE_THETA = 300_000.0  # METHOD 6
PAPER_CONTEXT = 32_768  # METHOD 6
_TOKENIZER = "tokenizer_config.json"
_CLASS_OF_5 = "TokenizersBackend"


@dataclass(frozen=True, slots=True)
class Extension:
    """What is raised; None: left as it is. `context` is max_position_embeddings, in tokens."""

    rope_theta: float | None = None
    context: int | None = None

    def __bool__(self) -> bool:
        return self.rope_theta is not None or self.context is not None


PAPER = Extension(PAPER_ROPE_THETA, PAPER_CONTEXT)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a model's config reaches; None: it does not say."""

    rope_theta: float | None
    context: int | None


def reach(config: Mapping[str, Any]) -> Reach:
    """What a model's config.json says, in either of the fields."""
    text = _text(config)
    theta = _rope(text).get("rope_theta", text.get("rope_theta"))
    context = text.get("max_position_embeddings")
    return Reach(None if theta is None else float(theta), None if context is None else int(context))


def extended(config: Mapping[str, Any], extension: Extension) -> dict[str, Any]:
    """A copy of a model's config.json with the context that is asked for, in the fields of transformers 4 and 5.

    Raises UsageError where a theta is asked for and the model has several.
    """
    text = dict(_text(config))
    rope = _rope(text)
    if any(isinstance(value, Mapping) for value in rope.values()):
        if extension.rope_theta is not None:
            raise UsageError("this model's layers have rotary embeddings of several kinds; leave --rope-theta out")
    elif (theta := reach(config).rope_theta if extension.rope_theta is None else extension.rope_theta) is not None:
        kind = {"rope_type": rope.get("rope_type", rope.get("type", "default"))}
        text |= {"rope_theta": theta, "rope_parameters": {**rope, **kind, "rope_theta": theta}}
        if kind["rope_type"] != "default":  # transformers 4 knows a scaling by this name; 5 reads it before the other
            text["rope_scaling"] = {name: value for name, value in rope.items() if name != "rope_theta"} | kind
    if extension.context is not None:
        text["max_position_embeddings"] = extension.context
    return {**config, "text_config": text} if "text_config" in config else text


def told(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What was changed, a line each; empty where nothing was."""
    old, new = reach(before), reach(after)
    lines = []
    if old.rope_theta != new.rope_theta:
        lines.append(f"rope_theta {_number(old.rope_theta)} -> {_number(new.rope_theta)}")
    if old.context != new.context:
        lines.append(f"max_position_embeddings {_number(old.context)} -> {_number(new.context)}")
    return lines


def write_extended(model: Path, out: Path, extension: Extension) -> list[str]:
    """A folder with a model's files and the longer context, weights linked where that can be; what was changed.

    `out` is an empty folder. Raises UsageError where the config cannot be read.
    """
    before = read_config(model)
    after = extended(before, extension)
    for file in sorted(path for path in model.iterdir() if path.is_file()):
        _copy(file, out / file.name)
    _write(out / "config.json", after)
    readable_by_both(out)
    raise_tokenizer_limit(out, reach(after).context)
    return told(before, after)


def read_config(model: Path) -> dict[str, Any]:
    """A model folder's config.json."""
    try:
        config = orjson.loads((model / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{model} has no readable config.json; give a model's folder, or a Hub id") from error
    if not isinstance(config, dict):
        raise UsageError(f"{model}/config.json is no model's config; give a model's folder, or a Hub id")
    return config


def raise_tokenizer_limit(folder: Path, context: int | None) -> None:
    """Let the tokenizer's own limit not stay below the context."""
    file = folder / _TOKENIZER
    if context is None or not file.is_file():
        return
    settings = orjson.loads(file.read_bytes())
    if settings.get("model_max_length", context) < context:
        _write(file, settings | {"model_max_length": context})


def readable_by_both(folder: Path) -> None:
    """Mend a model that transformers 5 saved: rope_theta is in the one place that 4 does not read, and its tokenizer of
    a class that 4 does not know."""
    config = read_config(folder)
    if (mended := extended(config, Extension())) != config:
        _write(folder / "config.json", mended)
    file = folder / _TOKENIZER
    if file.is_file() and (settings := orjson.loads(file.read_bytes())).get("tokenizer_class") == _CLASS_OF_5:
        _write(file, settings | {"tokenizer_class": "PreTrainedTokenizerFast"})


def _write(file: Path, value: Mapping[str, Any]) -> None:
    part = file.with_name(file.name + ".part")
    part.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
    part.replace(file)  # never through a link into the model that it came from


def _copy(file: Path, to: Path) -> None:
    """A hard link of what is never rewritten, else a copy; the Hub's cache holds links itself."""
    real = file.resolve()
    if file.suffix == ".safetensors":
        try:
            to.hardlink_to(real)
        except OSError:
            to.symlink_to(real)
        return
    shutil.copyfile(real, to)


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a model of several kinds keeps what is said of text."""
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config


def _rope(text: Mapping[str, Any]) -> Mapping[str, Any]:
    return text.get("rope_parameters") or text.get("rope_scaling") or {}


def _number(value: float | None) -> str:
    return "not set" if value is None else f"{value:,.0f}"
