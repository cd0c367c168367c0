"""Judging against the official way: one `generate` call of one token for each prompt, the same model, in one run.

Prompts a second of both, their ratio, and the largest difference of d. On a GPU also the share of the dense rate that a
large matrix product reaches there: a forward pass takes about 2 operations for each weight and token.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from select2reason.backends.base import Messages
from select2reason.backends.chats import render, token_ids
from select2reason.backends.transformers import TransformersBackend
from select2reason.difficulty.judge import LABELS, JudgePrompt, judged

ROOT = Path(__file__).resolve().parents[1]
QUESTIONS = ROOT.parent / "shared/data/difficulty/math_test_levels_passrates.parquet"


def official(backend: TransformersBackend, chats: Sequence[Messages]) -> NDArray[np.float64]:
    """d of each prompt from a `generate` call of its own."""
    tokenizer, model = backend._tokenizer, backend._model
    wanted = backend._spelled(LABELS)
    found = []
    for ids in token_ids(tokenizer, render(tokenizer, chats, backend.name, thinking=False)):
        prompt = torch.tensor([ids], device=model.device)
        with torch.inference_mode():
            out = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=1,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
                pad_token_id=0,
            )
        shares = torch.softmax(out.logits[0][0].float(), -1)
        zero, one = (float(shares[tokens].sum()) for tokens in wanted)
        found.append(one / (zero + one))
    return np.array(found)


def dense_rate(size: int = 8192) -> float:
    """Operations a second of a large bfloat16 product on the GPU."""
    left, right = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        left @ right
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        left @ right
    torch.cuda.synchronize()
    return 20 * 2 * size**3 / (time.perf_counter() - start)


def main() -> None:
    """Time both ways by turns and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="folder of a chat model")
    parser.add_argument("--rows", type=int, default=512, help="questions, 3,500 at most")
    parser.add_argument("--official-rows", type=int, default=48, help="prompts of the slow way, out of the same")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    backend = TransformersBackend(options.model)
    questions = pl.read_parquet(QUESTIONS)["problem"].sample(options.rows, seed=1).to_list()
    chats = [JudgePrompt().about(question) for question in questions]
    few = chats[: options.official_rows]
    official(backend, few[:4])
    backend.label_logprobs(few, LABELS)
    slow, fast = [], []
    for _ in range(options.repeat):
        start = time.perf_counter()
        theirs = official(backend, few)
        slow.append(len(few) / (time.perf_counter() - start))
        start = time.perf_counter()
        ours = judged(backend.label_logprobs(chats, LABELS))["difficulty"].to_numpy()
        fast.append(len(chats) / (time.perf_counter() - start))
        print(f"one call a prompt: {slow[-1]:.2f}/s; select2reason: {fast[-1]:.2f}/s; {fast[-1] / slow[-1]:.2f} times")
    gap = np.abs(theirs - ours[: len(few)]).max()
    print(f"median ratio {np.median(np.array(fast) / np.array(slow)):.2f}; d differs by at most {gap:.1e}")
    if torch.cuda.is_available():
        tokens = sum(map(len, token_ids(backend._tokenizer, render(backend._tokenizer, chats, "", thinking=False))))
        weights = sum(one.numel() for name, one in backend._model.named_parameters() if "embed" not in name)
        rate = 2 * weights * tokens / len(chats) * float(np.median(fast))
        print(f"{rate / 1e12:.0f} of {(dense := dense_rate()) / 1e12:.0f} TFLOP/s: {rate / dense:.0%}")


if __name__ == "__main__":
    main()
