"""The folder that `export --to llamafactory` writes, read by LLaMA-Factory itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from select2reason.export.handover import ForModel, hand_over

from ..real_selection import Real
from ..whole_examples import PAPER, assert_whole
from .environments import ask


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-Math-7B-Instruct", "Qwen/Qwen3-8B"])
def test_no_token_is_lost_and_none_is_added(model: str, real: Real, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hand_over(real.chosen, "llamafactory", out, model=ForModel(model), command="")
    read = ask("llamafactory", out, real.tokenizer)
    assert_whole(real, read["input_ids"], read["labels"])
    assert read["settings"] == PAPER
