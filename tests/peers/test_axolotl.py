"""The folder that `export --to axolotl` writes, read by Axolotl itself."""

from __future__ import annotations

from pathlib import Path

from select2reason.export.handover import ForModel, hand_over

from ..real_selection import Real
from ..whole_examples import assert_whole
from .environments import ask


def test_no_token_is_lost_and_none_is_added(real: Real, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hand_over(real.chosen, "axolotl", out, model=ForModel(), command="")
    read = ask("axolotl", out, real.tokenizer)
    assert read["unknown"] == []
    assert_whole(real, read["input_ids"], read["labels"])
    assert read["settings"] == {
        "learning_rate": 5e-5,
        "epochs": 3,
        "scheduler": "cosine",
        "warmup": 0.1,
        "accumulation": 4,
        "cutoff_len": 16_384,
        "finetuning": "full",
    }
