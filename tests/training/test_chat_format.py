"""How a response is written into a model's chat: as it stands, after the prompt that the model will be asked with."""

from __future__ import annotations

from pathlib import Path

import pytest

from select2reason.backends.chat_format import CHATML, open_chat
from select2reason.errors import UsageError

from ..tiny_chat_model import TEMPLATE, make_chat_model

ONE = [("Be brief.", "What is 2?", "<think>\nTwo.\n</think>\n\nIt is 2.")]
STRIPS_THOUGHTS = (  # as the templates of reasoning models do, and opens one itself
    "{% for turn in messages %}<|start|>{{ turn['role'] }}\n"
    "{{ turn['content'].split('</think>')[-1] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n<think>\n{% endif %}"
)
ADDS_THOUGHTS = (
    "{% for turn in messages %}<|start|>{{ turn['role'] }}\n"
    "{% if turn['role'] == 'assistant' and '<think>' not in turn['content'] %}<think>\n\n</think>\n\n{% endif %}"
    "{{ turn['content'] }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + TEMPLATE


def written(folder: Path, template: str | None, response: str = ONE[0][2]) -> str:
    chat = open_chat(make_chat_model(folder, template=template), "m")
    found = chat.written(chat.prompts([ONE[0][0]], [ONE[0][1]]), [response])
    return found.prompts[0] + found.replies[0]


@pytest.mark.parametrize("template", [TEMPLATE, STRIPS_THOUGHTS, ADDS_THOUGHTS])
def test_a_thought_is_neither_stripped_nor_doubled(template: str, tmp_path: Path) -> None:
    assert written(tmp_path, template) == (
        "<|start|>system\nBe brief.<|end|>\n<|start|>user\nWhat is 2?<|end|>\n<|start|>assistant\n"
        "<think>\nTwo.\n</think>\n\nIt is 2.<|end|>\n"
    )


def test_no_answer_is_taught_inside_a_thought_that_the_chat_opened(tmp_path: Path) -> None:
    chat = open_chat(make_chat_model(tmp_path, template=STRIPS_THOUGHTS), "m")
    responses = ["It is 2.", "<think>\nTwo.\n</think>\n\nIt is 2.", "<|begin_of_thought|>Two."]
    prompts = chat.prompts(["Be brief."] * 3, ["What is 2?"] * 3)
    assert all(prompt.endswith("assistant\n<think>\n") for prompt in prompts)
    found = chat.written(prompts, responses)
    assert found.unopened == 2
    assert [prompt.endswith("<think>\n") for prompt in found.prompts] == [False, True, False]
    for prompt, reply, response in zip(found.prompts, found.replies, responses, strict=True):
        assert (prompt + reply).endswith(f"assistant\n{response}<|end|>\n")


@pytest.mark.parametrize("template", [TEMPLATE, ADDS_THOUGHTS])
def test_no_empty_thought_is_added(template: str, tmp_path: Path) -> None:
    assert written(tmp_path, template, "It is 2.\n").endswith("<|start|>assistant\nIt is 2.\n<|end|>\n")


def test_a_template_that_leaves_the_system_turn_out_gets_it_with_the_question(tmp_path: Path) -> None:
    skips = TEMPLATE.replace("{% for turn in messages %}", "{% for turn in messages if turn['role'] != 'system' %}")
    assert written(tmp_path, skips).startswith("<|start|>user\nBe brief.\n\nWhat is 2?<|end|>\n")


def test_what_stands_before_the_end_of_a_turn_is_kept(tmp_path: Path) -> None:
    chat = open_chat(make_chat_model(tmp_path, template=TEMPLATE.replace("<|end|>", "\n<|end|>")), "m")
    assert (chat.end, chat.end_token) == ("\n<|end|>\n", "<|end|>")


def test_a_template_without_a_system_turn_gets_its_text_with_the_question(tmp_path: Path) -> None:
    assert written(tmp_path, NO_SYSTEM).startswith("<|start|>user\nBe brief.\n\nWhat is 2?<|end|>\n")


def test_the_token_that_ends_a_turn_is_found(tmp_path: Path) -> None:
    chat = open_chat(make_chat_model(tmp_path), "m")
    assert (chat.end, chat.end_token, chat.own) == ("<|end|>\n", "<|end|>", True)


def test_a_model_without_a_template_is_taught_chatml_and_its_own_end(tmp_path: Path) -> None:
    chat = open_chat(make_chat_model(tmp_path, template=None), "m")
    assert (chat.own, chat.template, chat.end_token) == (False, CHATML, "<|end|>")
    assert chat.end == "<|end|>"  # <|im_end|> is no token of this vocabulary


@pytest.mark.parametrize("template", ["{{ nothing.at.all }}", "{{ messages[0]['content'] }}"])
def test_a_template_that_cannot_be_used_is_one_line(template: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"chat template of m (fails|leaves out)"):
        open_chat(make_chat_model(tmp_path, template=template), "m")
