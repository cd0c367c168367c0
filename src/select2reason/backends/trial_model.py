"""A small chat model of random weights, for a trial of the whole road on a CPU: it learns little and knows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from select2reason.backends.chat_format import CHATML

_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_VOCABULARY = 1_024
_CONTEXT = 8_192


def make_trial_model(folder: Path, texts: Iterator[str], *, seed: int = 0) -> None:
    """Write a decoder of two layers and a byte-level tokenizer fitted on texts; equal texts and seeds give the same."""
    import torch
    from tokenizers import AddedToken, Regex, Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.normalizers import NFC
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
    from transformers.utils import logging

    tokenizer = Tokenizer(BPE())
    # form and words are those of Qwen2: transformers makes that tokenizer of whatever a folder of the kind holds
    tokenizer.normalizer = NFC()
    words = Split(Regex(_WORDS), "isolated")
    tokenizer.pre_tokenizer = Sequence([words, ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = Decoder()
    trainer = BpeTrainer(
        vocab_size=_VOCABULARY,
        show_progress=False,
        initial_alphabet=ByteLevel.alphabet(),
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in _SPECIALS[:3]]
        + [AddedToken(token, special=False, normalized=False) for token in _SPECIALS[3:]],
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=_CONTEXT
    )
    fast.chat_template = CHATML
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    ids = tokenizer.get_vocab()
    config = Qwen2Config(
        vocab_size=len(ids),
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=_CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=ids["<|im_end|>"],
        pad_token_id=ids["<|endoftext|>"],
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
