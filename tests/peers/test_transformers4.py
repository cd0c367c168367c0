"""A model whose context was raised, as transformers 4 reads it: the same angles, tokens and end as transformers 5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from select2reason.backends.trial_model import make_trial_model
from select2reason.extension import PAPER, readable_by_both, write_extended

from ..tiny_chat_model import make_chat_model
from .environments import ask


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_both_versions_turn_by_the_same_angles(kind: str, tmp_path: Path) -> None:
    import transformers

    model = tmp_path / "model"
    if kind == "qwen2":
        model.mkdir()
        make_trial_model(model, iter(["What is 2 + 2? It is 4."] * 9))
    else:
        make_chat_model(model)
    (tmp_path / "longer").mkdir()
    write_extended(model, tmp_path / "longer", PAPER)
    resaved = tmp_path / "resaved"  # as a trainer with transformers 5 leaves it
    own: Any = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "longer")
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(tmp_path / "longer")
    own.save_pretrained(resaved)
    tokenizer.save_pretrained(resaved)
    readable_by_both(resaved)
    turns = [{"role": "user", "content": "What is 2 + 2?"}]
    for folder in (tmp_path / "longer", resaved):
        read = ask("transformers4", folder, environment="llamafactory")
        assert read.pop("version").startswith("4.")
        assert read == {
            "rope_theta": 300_000,
            "slowest": pytest.approx(1 / float(own.model.rotary_emb.inv_freq[-1]), rel=1e-6),
            "context": 32_768,
            "ids": tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"],
            "limit": tokenizer.model_max_length,
            "eos": tokenizer.eos_token,
        }
