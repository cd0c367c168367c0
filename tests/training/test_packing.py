"""Examples laid end to end never see each other: the model says of each what it says of it alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..tiny_chat_model import make_chat_model


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_examples_end_to_end_do_not_see_each_other(attention: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    model = AutoModelForCausalLM.from_pretrained(make_chat_model(tmp_path), attn_implementation=attention)
    rows = [[5, 9, 30, 41, 7], [77, 3, 12], [60, 61, 62, 63]]
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)([{"input_ids": row} for row in rows])
    assert batch["labels"].tolist() == [[-100, 9, 30, 41, 7, -100, 3, 12, -100, 61, 62, 63]]  # no first token foretold
    with torch.no_grad():
        together = model(**{name: value for name, value in batch.items() if name != "labels"}, use_cache=False).logits[
            0
        ]
        alone = torch.cat([model(input_ids=torch.tensor([row]), use_cache=False).logits[0] for row in rows])
        crossing = model(input_ids=torch.tensor([[one for row in rows for one in row]]), use_cache=False).logits[0]
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(together, crossing, atol=1e-3)  # else the test could not fail
