"""A chat model of two layers made in a test in milliseconds: random, or with a next token of hand-made probability."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

SPECIALS = ("<|start|>", "<|end|>")
TEMPLATE = (
    "{% for turn in messages %}<|start|>{{ turn['role'] }}\n{{ turn['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def make_chat_model(
    folder: Path,
    probabilities: Mapping[str, float] | None = None,
    *,
    template: str | None = TEMPLATE,
    context: int = 512,
) -> Path:
    """Write a causal language model and its tokenizer (single bytes, " 0", " 1" and the tokens of `probabilities`).

    With `probabilities` every prompt is followed by these tokens so often, the rest being shared by all others: all
    tokens have one embedding, the layers add nothing, and the last layer's weights are the logits.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    names = _write_tokenizer(folder, [" 0", " 1", *(probabilities or {})], template)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(names),
        hidden_size=64,  # heads of 32: vLLM's CPU build takes no smaller ones
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=context,
        eos_token_id=names["<|end|>"],
        bos_token_id=None,
        pad_token_id=None,
        tie_word_embeddings=False,
        initializer_range=0.3,
    )
    model = LlamaForCausalLM(config)
    if probabilities:
        _set_logits(model, names, probabilities)
    model.save_pretrained(folder)
    return folder


def _write_tokenizer(folder: Path, words: list[str], template: str | None) -> dict[str, int]:
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate(sorted(ByteLevel.alphabet()))}
    merges: list[tuple[str, str]] = []
    for word in words:
        parts = list(word.replace(" ", "Ġ"))
        while len(parts) > 1:
            if (pair := (parts[0], parts[1])) not in merges:
                merges.append(pair)
            parts[:2] = ["".join(pair)]
            vocabulary.setdefault(parts[0], len(vocabulary))
    tokenizer = Tokenizer(BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = Decoder()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")  # type: ignore[no-untyped-call]
    fast.chat_template = template
    fast.save_pretrained(folder)
    return dict(tokenizer.get_vocab())


def _set_logits(model: object, names: Mapping[str, int], probabilities: Mapping[str, float]) -> None:
    import torch

    rest = (1 - sum(probabilities.values())) / (len(names) - len(probabilities))
    logits = torch.full((len(names),), math.log(rest))
    for word, probability in probabilities.items():
        logits[names[word.replace(" ", "Ġ")]] = math.log(probability)
    with torch.no_grad():
        for parameter in model.parameters():  # type: ignore[attr-defined]
            parameter.zero_()
        model.model.embed_tokens.weight[:, 0] = 1.0  # type: ignore[attr-defined]
        model.model.norm.weight[0] = 1 / math.sqrt(model.config.hidden_size)  # type: ignore[attr-defined]
        model.lm_head.weight[:, 0] = logits  # type: ignore[attr-defined]
