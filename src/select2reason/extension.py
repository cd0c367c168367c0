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

from select2reason.errors import UsageError, in_a_line
from select2reason.files import write_json

PAPER_ROPE_THETA = 300_000.0  # METHOD 6
PAPER_CONTEXT = 32_768  # METHOD 6
_TOKENIZER = "tokenizer_config.json"
_CLASS_OF_5 = "TokenizersBackend"
_NAMES_OF_4 = {"extra_special_tokens": "additional_special_tokens"}  # 5 reads both, 4 stumbles over a list by the first


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

    Raises UsageError where a theta is asked for and the model has several, or where anything would become less.
    """
    _refuse_less(reach(config), extension)
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


def _refuse_less(own: Reach, extension: Extension) -> None:
    asked = (("--rope-theta", extension.rope_theta, own.rope_theta), ("--context", extension.context, own.context))
    for option, wanted, held in asked:
        if wanted is not None and held is not None and wanted < held:
            raise UsageError(f"{option} {wanted:,.0f} is less than the model has, {held:,.0f}; leave it out")


def advice(own: Reach, longest: int) -> str:
    """The options that let a model read so many tokens; the paper's where they are enough."""
    context = PAPER_CONTEXT if longest <= PAPER_CONTEXT else -(-longest // 1024) * 1024
    theta = own.rope_theta is not None and own.rope_theta < PAPER_ROPE_THETA
    return f"{f'--rope-theta {PAPER_ROPE_THETA:.0f} ' if theta else ''}--context {context}"


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
    write_json(out / "config.json", after)
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
    try:
        settings = orjson.loads(file.read_bytes())
    except ValueError as error:
        raise UsageError(f"{file} is damaged ({in_a_line(error)}); fetch the model again") from error
    if (settings.get("model_max_length") or context) < context:
        write_json(file, settings | {"model_max_length": context})


def readable_by_both(folder: Path) -> None:
    """Mend a model that transformers 5 saved: rope_theta is in the one place that 4 does not read, and its tokenizer is
    of a class, and has a list of tokens by a name, that 4 does not know."""
    config = read_config(folder)
    if (mended := extended(config, Extension())) != config:
        write_json(folder / "config.json", mended)
    tokenizer_readable_by_both(folder)


def tokenizer_readable_by_both(folder: Path) -> None:
    """The same for a folder that has a tokenizer and no model, as that of adapters."""
    file = folder / _TOKENIZER
    if not file.is_file():
        return
    settings = orjson.loads(file.read_bytes())
    mended = {
        _NAMES_OF_4.get(name, name) if isinstance(value, list) else name: value for name, value in settings.items()
    }
    if mended.get("tokenizer_class") == _CLASS_OF_5:
        mended["tokenizer_class"] = "PreTrainedTokenizerFast"
    if mended != settings:
        write_json(file, mended)


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
