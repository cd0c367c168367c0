"""What the engines share: rendering chats, spelling labels, packing prompts into batches, seeds.

None of it needs torch; tokenizers are Hugging Face's, seen through the few methods used here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from select2reason.backends.base import Message, Messages
from select2reason.errors import UsageError, in_a_line

_SPACES = ("Ġ", "▁")  # how byte-level and SentencePiece vocabularies write a leading space
_NO_THINKING = {"enable_thinking": False}  # hybrid models would begin with a think tag; other templates ignore it


class ChatTokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used here."""

    chat_template: Any

    def apply_chat_template(self, chats: Any, **options: Any) -> Any:
        """Chats as texts."""
        ...

    def __call__(self, texts: Sequence[str], **options: Any) -> Any:
        """Texts as token ids."""
        ...

    def get_vocab(self) -> dict[str, int]:
        """Tokens as the vocabulary writes them, with their ids."""
        ...


def render(tokenizer: ChatTokenizer, prompts: Sequence[Messages], model: str, *, thinking: bool) -> list[str]:
    """Each chat as the text that the model continues. Raises UsageError for a model without a chat template.

    A template that knows no system turn, or leaves it out, gets its text before the user's. `thinking` False keeps
    hybrid models from opening a think block.
    """
    from jinja2.exceptions import TemplateError

    if not tokenizer.chat_template:
        raise UsageError(f"{model} has no chat template, so it cannot be asked; give an instruct model with --model")
    options = {"add_generation_prompt": True, "tokenize": False} | ({} if thinking else _NO_THINKING)
    try:
        texts: list[str] = tokenizer.apply_chat_template([list(chat) for chat in prompts], **options)
        if all(_system(chat) in text for chat, text in zip(prompts, texts, strict=True)):
            return texts
    except TemplateError:
        pass
    try:
        texts = tokenizer.apply_chat_template([_without_system(chat) for chat in prompts], **options)
        return texts
    except (TemplateError, TypeError, ValueError) as error:
        words = in_a_line(error)
        raise UsageError(f"the chat template of {model} fails ({words}); mend it, or give another model") from error


def _system(chat: Messages) -> str:
    """The system turn's text as templates may trim it; empty where there is none."""
    return chat[0]["content"].strip() if chat and chat[0]["role"] == "system" else ""


def _without_system(chat: Messages) -> list[Message]:
    if not chat or chat[0]["role"] != "system":
        return list(chat)
    first, second, *rest = chat
    return [{"role": second["role"], "content": f"{first['content']}\n\n{second['content']}"}, *rest]


def token_ids(tokenizer: ChatTokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Ids of rendered chats; the template has set the special tokens."""
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return ids


def refuse_over_context(ids: Sequence[Sequence[int]], context: int, model: str) -> None:
    """Raise UsageError where a prompt leaves no room for an answer: it cannot be answered, and that is no wrong one."""
    if (longest := max(map(len, ids), default=0)) >= context:
        raise UsageError(f"a question of {longest:,} tokens does not fit the {context:,} of {model}; leave it out")


def spellings(vocabulary: Mapping[str, int], label: str) -> list[int]:
    """Ids of every single token that spells `label`, with and without a leading space.

    Raises UsageError where there is none.
    """
    written = {label, *(space + label for space in (*_SPACES, " ")), *_byte_token(label)}
    found = sorted(vocabulary[token] for token in written if token in vocabulary)
    if not found:
        raise UsageError(f"the model's vocabulary has no single token for {label!r}; it cannot judge, give another")
    return found


class Spelled:
    """`spellings` by a tokenizer, each looked up once: it takes 0.3 s to hand out a vocabulary of 150,000 tokens."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def __call__(self, labels: Sequence[str]) -> list[list[int]]:
        """Ids for each label. Raises UsageError where there is none."""
        if new := [label for label in labels if label not in self._known]:
            vocabulary = self._tokenizer.get_vocab()
            self._known |= {label: spellings(vocabulary, label) for label in new}
        return [self._known[label] for label in labels]


def _byte_token(label: str) -> list[str]:
    """SentencePiece's fall-back for a text of one byte."""
    data = label.encode()
    return [f"<0x{data[0]:02X}>"] if len(data) == 1 else []


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """How many first tokens all prompts share, less than the shortest has."""
    if not prompts:
        return 0
    ordered = sorted(map(list, prompts))
    low, high = ordered[0], ordered[-1]  # in lexical order: what these two share, all share
    bound = min(map(len, prompts)) - 1
    return next((i for i in range(bound) if low[i] != high[i]), max(bound, 0))


def batches_of(lengths: Sequence[int], budget: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers, shortest first, in batches of at most `budget` tokens when padded to the longest; at least one."""
    order = np.argsort(np.asarray(lengths), kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        full = end == len(order) or lengths[order[end]] * (end + 1 - start) > budget
        if full:
            yield order[start:end]
            start = end


def seed_of(seed: int, prompts: Sequence[Messages]) -> int:
    """A seed of 31 bits for these prompts: other prompts draw other numbers, the same ones the same."""
    text = json.dumps([seed, [list(chat) for chat in prompts]], ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4], "big") >> 1


def opened_tag(rendered: str) -> str:
    """The think tag that a template has opened already, as its completions should begin with; empty where none is."""
    last = rendered.rstrip("\n").rpartition("\n")[2]
    for tag in ("<think>", "<|begin_of_thought|>", "[THINK]"):
        if last.endswith(tag):
            return rendered[rendered.rindex(tag) :]
    return ""
