"""The vLLM engine, in this process: one model on one GPU (or the CPU build), prefix caching on.

Several GPUs get one worker each (scoring/workers.py); a model is split over GPUs only where one cannot hold it.
Log-probabilities are the model's own: no penalty, no temperature, no top-k list.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from select2reason.backends.base import Completion, Done, LabelLogprobs, Messages, Sampling
from select2reason.backends.chats import Spelled, opened_tag, refuse_over_context, render, seed_of, token_ids
from select2reason.backends.loading import load_config, load_tokenizer, needs
from select2reason.backends.model_folder import weight_files
from select2reason.errors import RunError, UsageError, in_a_line

_ROOM = 0.75  # of a GPU's memory for weights: the rest is for keys, values and activations
_GPU_MEMORY = 0.92  # vLLM's own share, pinned: other versions have other defaults
_CPU_MEMORY = 0.7  # of a node's memory: vLLM refuses to start where less is free, and a CPU has other work


class VllmBackend:
    """One vLLM engine. `max_model_len` bounds prompt and answer together (None: the model's own context)."""

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        dtype: str | None = None,
        max_model_len: int | None = None,
        trust_remote_code: bool = False,
        seed: int = 0,
    ) -> None:
        needs("vllm")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        from vllm import LLM

        self.name = model
        self._one_at_a_time = threading.Lock()
        self._tokenizer = load_tokenizer(model, revision=revision, trust_remote_code=trust_remote_code)
        self._spelled = Spelled(self._tokenizer)
        try:
            self._engine = LLM(
                model=model,
                revision=revision,
                dtype=dtype or ("float32" if _on_cpu() else "auto"),
                max_model_len=max_model_len,
                tensor_parallel_size=gpus_for(model, trust_remote_code=trust_remote_code),
                gpu_memory_utilization=_CPU_MEMORY if _on_cpu() else _GPU_MEMORY,
                enable_prefix_caching=True,
                enforce_eager=_on_cpu(),
                enable_chunked_prefill=False if _on_cpu() else None,  # 0.32's CPU build fails on seeds where it is on
                generation_config="vllm",  # not the model's own: a repetition penalty there would change every score
                logprobs_mode="raw_logprobs",
                load_format="safetensors",
                trust_remote_code=trust_remote_code,
                seed=seed,
            )
        except (ValueError, OSError, RuntimeError) as error:
            words = in_a_line(error, 300)
            raise RunError(f"vLLM cannot open {model} ({words}); try --backend transformers") from error
        self._context = int(self._engine.llm_engine.model_config.max_model_len)

    def label_logprobs(self, prompts: Sequence[Messages], labels: Sequence[str]) -> LabelLogprobs:
        """See `Backend`. Exact; a prompt that does not fit the model's context is not scored."""
        from vllm import SamplingParams

        wanted = self._spelled(labels)
        ids = token_ids(self._tokenizer, render(self._tokenizer, prompts, self.name, thinking=False))
        fitting = [row for row, prompt in enumerate(ids) if 0 < len(prompt) < self._context]
        how = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=sorted({t for ts in wanted for t in ts}))
        values = np.full((len(prompts), len(labels)), np.nan)
        for row, output in zip(fitting, self._answers([ids[row] for row in fitting], how), strict=True):
            told = output.outputs[0].logprobs[0]
            values[row] = [np.logaddexp.reduce([told[token].logprob for token in tokens]) for tokens in wanted]
        return LabelLogprobs(values, values)

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, *, done: Done | None = None
    ) -> list[list[Completion]]:
        """See `Backend`. Every prompt has a seed of its own, whatever it is asked beside."""
        from vllm import SamplingParams

        texts = render(self._tokenizer, prompts, self.name, thinking=True)
        ids = token_ids(self._tokenizer, texts)
        refuse_over_context(ids, self._context, self.name)
        drawn = sampling.n if sampling.temperature > 0 else 1  # without a temperature all answers are the same one
        how = [
            SamplingParams(
                n=drawn,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=max(1, min(sampling.max_tokens, self._context - len(one))),
                seed=seed_of(sampling.seed, [prompt]),
                skip_special_tokens=False,
            )
            for prompt, one in zip(prompts, ids, strict=True)
        ]
        outputs = self._answers(ids, how)
        ends = {token for token in (getattr(self._tokenizer, "eos_token", None),) if token}
        return [
            [_completion(opened_tag(text), one, ends) for one in output.outputs] * (sampling.n // drawn)
            for text, output in zip(texts, outputs, strict=True)
        ]

    def _answers(self, ids: list[list[int]], how: Any) -> list[Any]:
        if not ids:
            return []
        with self._one_at_a_time:  # the engine is not made for several callers
            return list(self._engine.generate([{"prompt_token_ids": one} for one in ids], how, use_tqdm=False))

    def close(self) -> None:
        """Let go of the engine and of the processes that it started."""
        with self._one_at_a_time:
            del self._engine


def _completion(opened: str, one: Any, ends: set[str]) -> Completion:
    text = one.text
    for end in ends:
        text = text.removesuffix(end)
    return Completion(opened + text, len(one.token_ids), one.finish_reason == "length")


def _on_cpu() -> bool:
    import torch

    return not torch.cuda.is_available()


def gpus_for(model: str, *, trust_remote_code: bool = False) -> int:
    """GPUs that one copy of the model takes: 1, or the fewest that hold its weights and share its heads evenly.

    Sizes are known of folders; a Hub id counts as fitting one, and vLLM says where it does not."""
    import torch

    if not torch.cuda.is_available():
        return 1
    if not weight_bytes(model):
        return 1
    config = load_config(model, trust_remote_code=trust_remote_code)
    heads = int(getattr(config, "num_attention_heads", 1))
    memory = torch.cuda.get_device_properties(0).total_memory
    return fewest_gpus(weight_bytes(model), memory, heads, torch.cuda.device_count())


def fewest_gpus(weights: int, memory: int, heads: int, gpus: int) -> int:
    """Raises UsageError where all of them together do not hold `weights` bytes."""
    for count in range(1, gpus + 1):
        if heads % count == 0 and weights <= count * memory * _ROOM:
            return count
    raise UsageError(f"{gpus} GPUs of {memory / 2**30:.0f} GiB do not hold the model; give a smaller --model")


def weight_bytes(model: str) -> int:
    """Size of a local model's weight files; 0 where it is not a folder, so that vLLM itself says what does not fit."""
    return sum(file.stat().st_size for file in weight_files(Path(model).expanduser()))
