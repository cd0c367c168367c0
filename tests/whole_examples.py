"""What must hold of a trainer's reading of a selection, whoever the trainer is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from select2reason.trace import SYSTEM_PROMPT

from .real_selection import Real

END = "<|im_end|>"
PAPER = {  # METHOD 6, as every trainer must have read it; the epochs are ours
    "learning_rate": 5e-5,
    "epochs": 3,
    "scheduler": "cosine",
    "warmup": 0.1,
    "accumulation": 4,
    "cutoff_len": 16_384,
    "finetuning": "full",
}


def assert_whole(real: Real, input_ids: Sequence[list[int]], labels: Sequence[list[int]]) -> None:
    """Every example is there, in order, to the token: as many as `total_tokens` says, the loss on the response and its
    end alone, thoughts as they stand and no empty ones."""
    examples = real.examples()
    assert len(input_ids) == len(labels) == examples.height >= 200
    assert [len(ids) for ids in input_ids] == examples["total_tokens"].to_list()
    assert (examples["response"].str.contains("<think>", literal=True)).sum() >= 20
    tokenizer = opened(real.tokenizer)
    for row, ids, marks in zip(examples.iter_rows(named=True), input_ids, labels, strict=True):
        start = next(at for at, label in enumerate(marks) if label != -100)
        trained = [label for label in marks if label != -100]
        asked = f"<|im_start|>system\n{SYSTEM_PROMPT}{END}\n<|im_start|>user\n{row['question']}{END}\n"
        assert same(tokenizer.decode(ids[:start]), f"{asked}<|im_start|>assistant\n")
        assert trained == [one for one, label in zip(ids, marks, strict=True) if label != -100]
        assert same(tokenizer.decode(trained).removesuffix("\n"), row["response"] + END)
        assert tokenizer.token_to_id(END) in trained[-2:]


def same(one: str, other: str) -> bool:
    """Equal up to Unicode's normal form, which Qwen2.5's tokenizer puts every text into."""
    import unicodedata

    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


@cache
def opened(folder: Path) -> Any:
    """A tokenizer that decodes with special tokens."""
    import tokenizers

    loaded = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))

    class Decoding:
        def decode(self, ids: list[int]) -> str:
            return str(loaded.decode(ids, skip_special_tokens=False))

        def token_to_id(self, token: str) -> int | None:
            return loaded.token_to_id(token)

    return Decoding()
