"""A decoder of two layers with random weights and a tokenizer of single words, made in a test in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORDS = ("apples", "primes", "trains", "circles", "coins", "roots")


def make_language_model(folder: Path, words: Sequence[str] = WORDS, *, seed: int = 0) -> Path:
    """Write a causal language model and its tokenizer, without a padding token, as transformers does."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    known = ["<unk>", "<eos>", "\n", " ", "Add", "Prove", "two", "three", ".", *words]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(known)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Split(r" ", "removed")
    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>").save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(known),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        eos_token_id=1,
        bos_token_id=None,
        pad_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def questions(count: int, *, seed: int = 0) -> tuple[list[str], NDArray[np.float64]]:
    """Distinct questions of 5 to 13 words and their difficulty: 0.8 where exactly one of "Prove" and "three" stands at
    the beginning, else 0.2; no weighing of single words can tell."""
    rng = np.random.default_rng(seed)
    asked: dict[str, float] = {}
    while len(asked) < count:
        prove, three = rng.integers(0, 2, 2)
        rest = " ".join(rng.choice(WORDS, rng.integers(2, 11)))
        asked[f"{('Add', 'Prove')[prove]} {('two', 'three')[three]} {rest} ."] = 0.8 if prove != three else 0.2
    return list(asked), np.array(list(asked.values()))
