"""A longer context in a copy of a model's config: in the fields of both transformers, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from select2reason.errors import UsageError
from select2reason.extension import (
    PAPER,
    Extension,
    Reach,
    advice,
    extended,
    reach,
    readable_by_both,
    told,
    write_extended,
)

from .tiny_chat_model import make_chat_model

QWEN = {"model_type": "qwen2", "rope_theta": 10_000.0, "max_position_embeddings": 4_096}


def test_both_fields_are_set_and_the_rest_is_left() -> None:
    after = extended(QWEN, PAPER)
    assert after == {
        "model_type": "qwen2",
        "rope_theta": 300_000.0,
        "rope_parameters": {"rope_type": "default", "rope_theta": 300_000.0},
        "max_position_embeddings": 32_768,
    }
    assert QWEN["rope_theta"] == 10_000.0
    assert told(QWEN, after) == ["rope_theta 10,000 -> 300,000", "max_position_embeddings 4,096 -> 32,768"]


@pytest.mark.parametrize(
    "config",
    [
        {"rope_theta": 10_000, "max_position_embeddings": 64},
        {"rope_parameters": {"rope_theta": 10_000, "rope_type": "default"}, "max_position_embeddings": 64},
        {"text_config": {"rope_theta": 10_000, "max_position_embeddings": 64}},
    ],
)
def test_what_a_config_reaches_is_read_wherever_it_stands(config: dict[str, object]) -> None:
    assert reach(config) == Reach(10_000.0, 64)
    assert reach(extended(config, PAPER)) == Reach(300_000.0, 32_768)
    assert reach(extended(config, Extension(context=128))) == Reach(10_000.0, 128)


def test_a_scaling_stays_under_both_names() -> None:
    scaled = {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}, "max_position_embeddings": 8}
    after = extended(scaled, Extension(rope_theta=1e6))
    assert after["rope_parameters"] == {"rope_type": "llama3", "factor": 8.0, "rope_theta": 1e6}
    assert after["rope_scaling"] == {"rope_type": "llama3", "factor": 8.0}
    assert after["rope_theta"] == 1e6


def test_a_model_with_several_thetas_is_not_guessed_at() -> None:
    several = {"rope_parameters": {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}}
    assert extended(several, Extension(context=9)) == several | {"max_position_embeddings": 9}
    with pytest.raises(UsageError, match="leave --rope-theta out"):
        extended(several, PAPER)


@pytest.mark.parametrize("less", [Extension(rope_theta=9_999), Extension(context=2_048)])
def test_nothing_becomes_less(less: Extension) -> None:
    with pytest.raises(UsageError, match="is less than the model has"):
        extended(QWEN, less)


@pytest.mark.parametrize(
    ("theta", "longest", "words"),
    [(1e4, 16_000, "--rope-theta 300000 --context 32768"), (1e6, 16_000, "--context 32768"),
     (1e6, 40_000, "--context 40960")],
)  # fmt: skip
def test_the_advice_fits_the_model_and_the_examples(theta: float, longest: int, words: str) -> None:
    assert advice(Reach(theta, 4_096), longest) == words


def test_the_copy_reaches_further_and_the_model_is_untouched(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    model = make_chat_model(tmp_path / "model", context=64)
    about = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(about | {"model_max_length": 64}))
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    (tmp_path / "longer").mkdir()
    assert write_extended(model, tmp_path / "longer", PAPER) == [
        "rope_theta 10,000 -> 300,000",
        "max_position_embeddings 64 -> 32,768",
    ]
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    config = AutoConfig.from_pretrained(tmp_path / "longer")
    assert config.rope_parameters["rope_theta"] == 300_000
    assert config.max_position_embeddings == 32_768
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "longer").num_parameters() > 0
    assert json.loads((tmp_path / "longer" / "tokenizer_config.json").read_text())["model_max_length"] == 32_768


def test_what_transformers_5_saved_is_mended_for_4(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"rope_parameters": {"rope_theta": 7.0, "rope_type": "default"}}))
    saved = {"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["<|im_start|>"]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(saved))
    readable_by_both(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["rope_theta"] == 7.0
    assert json.loads((tmp_path / "tokenizer_config.json").read_text()) == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "additional_special_tokens": ["<|im_start|>"],
    }
