"""How a model's chat is written around a question and a response, for training: as it is asked later, so it is taught.

The prompt is what the model will be asked with, generation prompt and all; the response follows it as it stands, and
then what the template puts after an assistant's turn. So no template can strip a thought, or add an empty one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from select2reason.backends.base import Message
from select2reason.backends.chats import opened_tag, render
from select2reason.backends.loading import load_tokenizer
from select2reason.errors import UsageError, in_a_line

CHATML = (
    "{%- for message in messages -%}\n"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}\n"
)
"""Qwen2.5's chat format and nothing else: contents as they stand, no system prompt of its own."""
_PROBE = "select2reason-probe"


@dataclass(frozen=True, slots=True)
class Written:
    """Texts before and after, a pair an example; `unopened` of them do not begin with the chat's thought."""

    prompts: list[str]
    replies: list[str]
    unopened: int


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """A model's chat. `end` is what follows a response, `end_token` the token in it that ends the turn; `template` is
    ChatML where the model brings none, and then `own` is False."""

    model: str
    tokenizer: Any
    template: str
    own: bool
    end: str
    end_token: str

    def prompts(self, systems: Sequence[str], questions: Sequence[str]) -> list[str]:
        """The text before each response, as the model will be asked."""
        chats = [_asked(*one) for one in zip(systems, questions, strict=True)]
        return render(self.tokenizer, chats, self.model, thinking=True)

    def written(self, prompts: Sequence[str], responses: Sequence[str]) -> Written:
        """Prompts and what follows them: each response as it stands and its end. Where a prompt opens a thought, a
        response's own tag is left out; a response that does not begin with one is taught after a prompt without."""
        opened = opened_tag(prompts[0]) if prompts else ""
        tag = opened.strip()
        begins = [bool(tag) and response.lstrip().startswith(tag) for response in responses]
        if not tag:
            return Written(list(prompts), [response + self.end for response in responses], 0)
        return Written(
            [prompt if one else prompt.removesuffix(opened) for prompt, one in zip(prompts, begins, strict=True)],
            [
                _less(opened, one) + self.end if has else one + self.end
                for one, has in zip(responses, begins, strict=True)
            ],
            begins.count(False),
        )


def open_chat(folder: Path, name: str, *, trust_remote_code: bool = False) -> ChatFormat:
    """The chat format of a model's folder; `name` is what messages call it.

    Raises UsageError where its template cannot be used for training.
    """
    tokenizer = load_tokenizer(str(folder), trust_remote_code=trust_remote_code)
    own = bool(tokenizer.chat_template)
    if not own:
        tokenizer.chat_template = CHATML
    elif isinstance(tokenizer.chat_template, dict):  # several, by name
        tokenizer.chat_template = tokenizer.chat_template.get("default") or next(iter(tokenizer.chat_template.values()))
    end = _end(tokenizer, name)
    specials = set(tokenizer.all_special_tokens) | set(tokenizer.get_added_vocab())
    found = [token for token in specials if token and token in end]
    if not found and tokenizer.eos_token is None:
        raise UsageError(
            f"the chat of {name} has no token that ends a turn, so it would never stop; give another model"
        )
    token = min(found, key=lambda one: (end.index(one), -len(one))) if found else tokenizer.eos_token
    return ChatFormat(name, tokenizer, tokenizer.chat_template, own, end if found else token, token)


def _end(tokenizer: Any, name: str) -> str:
    from jinja2.exceptions import TemplateError

    turns = [_message("user", "?"), _message("assistant", _PROBE)]
    try:
        text: str = tokenizer.apply_chat_template(turns, tokenize=False)
    except (TemplateError, TypeError, ValueError) as error:
        words = in_a_line(error)
        raise UsageError(f"the chat template of {name} fails ({words}); mend it, or give another model") from error
    _, probe, end = text.rpartition(_PROBE)
    if not probe:
        raise UsageError(
            f"the chat template of {name} leaves out the assistant's words; mend it, or give another model"
        )
    return end


def _asked(system: str, question: str) -> list[Message]:
    return [_message("system", system), _message("user", question)]


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _less(opened: str, response: str) -> str:
    tag = opened.strip()
    return response.lstrip().removeprefix(tag).removeprefix(opened.removeprefix(tag))
