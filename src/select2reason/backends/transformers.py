"""The transformers engine: a chat model on this machine's CPU or one GPU.

Judging is prefill alone: prompts sorted by length and batched by tokens, what all of them share computed once, and the
vocabulary's logits taken at each prompt's last token only. Memory that runs out halves the batch, and the work goes on.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from select2reason.backends.base import Completion, Done, LabelLogprobs, Messages, Sampling
from select2reason.backends.chats import (
    Spelled,
    batches_of,
    common_prefix,
    opened_tag,
    refuse_over_context,
    render,
    seed_of,
    token_ids,
)
from select2reason.backends.loading import best_device, load_model, load_tokenizer, needs
from select2reason.errors import RunError, UsageError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_T = TypeVar("_T")
_CPU_TOKENS = 768  # in one batch: 512 to 1,024 were fastest on two cores, 4,096 half as fast
_GPU_TOKENS = 32_768
_DECODED = 32  # batches' worth of tokens that may be decoded at once: most of them come later
_LEAST_PREFIX = 8  # shared tokens from which keeping them is worth a pass of its own


class TransformersBackend:
    """One model on one device. `batch_tokens` bounds a batch, padding included (None: by the device)."""

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_tokens: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        needs("torch", "transformers")
        self.name = model
        self._device = device or best_device()
        self._tokenizer = load_tokenizer(model, revision=revision, trust_remote_code=trust_remote_code)
        self._spelled = Spelled(self._tokenizer)
        self._model = load_model(
            "AutoModelForCausalLM",
            model,
            revision=revision,
            device=self._device,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
        )
        self._ends = self._strip_habits()
        self._batch_tokens = batch_tokens or (_CPU_TOKENS if self._device == "cpu" else _GPU_TOKENS)
        self._context = int(getattr(self._model.config, "max_position_embeddings", 0) or 1 << 30)
        self._one_at_a_time = threading.Lock()  # another caller renders its prompts meanwhile
        self._closed = False

    def label_logprobs(self, prompts: Sequence[Messages], labels: Sequence[str]) -> LabelLogprobs:
        """See `Backend`. Exact; a prompt that does not fit the model's context is not scored."""
        import torch

        wanted = self._spelled(labels)
        ids = token_ids(self._tokenizer, render(self._tokenizer, prompts, self.name, thinking=False))
        fitting = [row for row, prompt in enumerate(ids) if 0 < len(prompt) <= self._context]
        values = np.full((len(prompts), len(labels)), np.nan)
        with self._one_at_a_time, torch.inference_mode():
            values[fitting] = self._prefill([ids[row] for row in fitting], wanted)
        return LabelLogprobs(values, values)

    def generate(
        self, prompts: Sequence[Messages], sampling: Sampling, *, done: Done | None = None
    ) -> list[list[Completion]]:
        """See `Backend`. The same call gives the same answers; another division into calls gives others."""
        import torch

        texts = render(self._tokenizer, prompts, self.name, thinking=True)
        ids = token_ids(self._tokenizer, texts)
        refuse_over_context(ids, self._context, self.name)
        answers: list[list[Completion]] = [[] for _ in prompts]
        with self._one_at_a_time, torch.inference_mode():
            for batch in self._alike(ids, sampling):
                seed = seed_of(sampling.seed, [prompts[row] for row in batch])
                drawn = halving(partial(self._continued, ids, sampling, seed), batch)
                for row, completions in zip(batch, drawn, strict=True):
                    opened = opened_tag(texts[row])
                    answers[row] = [Completion(opened + one.text, one.tokens, one.cut_off) for one in completions]
        return answers

    def close(self) -> None:
        """Let go of the model and, on a GPU, of its memory; whoever still works stops after its batch."""
        import torch

        self._closed = True
        with self._one_at_a_time:
            del self._model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    # --- prefill ---

    def _prefill(self, ids: list[list[int]], wanted: list[list[int]]) -> NDArray[np.float64]:
        """(prompts, labels) in order."""
        import torch

        values = torch.empty((len(ids), len(wanted)), dtype=torch.float64)
        shared = common_prefix(ids)
        kept = self._kept(ids[0][:shared]) if shared >= _LEAST_PREFIX else None
        shared = shared if kept is not None else 0
        rest = [prompt[shared:] for prompt in ids]
        for rows in batches_of([len(prompt) for prompt in rest], self._batch_tokens):
            if self._closed:
                raise RunError("the model was let go of; run the same command again")
            batch = [int(row) for row in rows]
            scored = halving(partial(self._scored, rest, kept, wanted), batch)
            values[batch] = torch.stack(scored).to(values)
        return np.asarray(values.numpy())

    def _kept(self, prefix: list[int]) -> Any:
        """Keys and values of a prefix, where the model keeps plain ones for every layer; None elsewhere."""
        from transformers.cache_utils import DynamicLayer

        with _only_at(self._model, [len(prefix) - 1]):
            cache = self._model(self._tensor([prefix]), use_cache=True).past_key_values
        plain = all(type(layer) is DynamicLayer for layer in getattr(cache, "layers", [None]))
        return cache if plain else None

    def _scored(
        self, prompts: list[list[int]], kept: Any, wanted: list[list[int]], rows: list[int]
    ) -> list[torch.Tensor]:
        """For each of these rows (labels,) natural logs. Padding stands on the right, where no token sees it."""
        import torch

        rest = [prompts[row] for row in rows]
        past: dict[str, Any] = {"use_cache": False}
        if kept is not None:
            past = {"use_cache": True, "past_key_values": copy.deepcopy(kept)}
            past["past_key_values"].batch_repeat_interleave(len(rest))
        with _only_at(self._model, [len(prompt) - 1 for prompt in rest]):
            logits = self._model(self._tensor(rest), **past).logits[:, 0].float()
        total = logits.logsumexp(-1)
        return list(torch.stack([logits[:, tokens].logsumexp(-1) - total for tokens in wanted], dim=1))

    def _tensor(self, ids: list[list[int]]) -> torch.Tensor:
        import torch

        longest = max(map(len, ids))
        return torch.tensor([one + [0] * (longest - len(one)) for one in ids], device=self._device)

    # --- sampling ---

    def _alike(self, ids: list[list[int]], sampling: Sampling) -> Iterator[list[int]]:
        """Batches of rows. A prompt that leaves less room than max_tokens goes alone: it would shorten the others."""
        room = [self._context - len(prompt) for prompt in ids]
        roomy = [row for row, left in enumerate(room) if left >= sampling.max_tokens]
        costs = [(len(ids[row]) + sampling.max_tokens) * sampling.n for row in roomy]
        for part in batches_of(costs, self._batch_tokens * _DECODED):
            yield [roomy[place] for place in part]
        yield from ([row] for row, left in enumerate(room) if left < sampling.max_tokens)

    def _continued(
        self, prompts: list[list[int]], sampling: Sampling, seed: int, rows: list[int]
    ) -> list[list[Completion]]:
        """The answers to the prompts of these rows. Without a temperature all answers to a prompt are the same one."""
        import torch

        torch.manual_seed(seed)
        ids = [prompts[row] for row in rows]
        drawn = sampling.n if sampling.temperature > 0 else 1
        longest = max(map(len, ids))
        padded = torch.tensor([[0] * (longest - len(one)) + one for one in ids], device=self._device)
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in ids], device=self._device)
        room = max(1, min(sampling.max_tokens, self._context - longest))
        out = self._model.generate(padded, attention_mask=mask, generation_config=self._drawing(sampling, room))
        answers = [self._completion(part) for part in out[:, longest:].tolist()]
        return [answers[i * drawn : (i + 1) * drawn] * (sampling.n // drawn) for i in range(len(ids))]

    def _drawing(self, sampling: Sampling, room: int) -> Any:
        from transformers import GenerationConfig

        warm = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        return GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=room,
            do_sample=sampling.temperature > 0,
            num_return_sequences=sampling.n if sampling.temperature > 0 else 1,
            eos_token_id=self._ends,
            pad_token_id=self._ends[0],
            **(warm if sampling.temperature > 0 else {}),
        )

    def _strip_habits(self) -> list[int]:
        """The tokens that end an answer. Nothing else is kept of the settings that come with a model: `generate` would
        fill in from them what it is not told, and a penalty there changes every probability."""
        from transformers import GenerationConfig

        said = self._model.generation_config.eos_token_id
        ends = {self._tokenizer.eos_token_id, *(said if isinstance(said, list | tuple) else [said])} - {None}
        if not ends:
            raise UsageError(f"neither {self.name} nor its tokenizer says what ends an answer; give another model")
        self._model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        return sorted(ends)

    def _completion(self, ids: list[int]) -> Completion:
        ended = next((place for place, token in enumerate(ids) if token in self._ends), None)
        text: str = self._tokenizer.decode(ids[:ended], skip_special_tokens=False)
        return Completion(text, len(ids) if ended is None else ended + 1, ended is None)


@contextmanager
def _only_at(model: Any, places: list[int]) -> Iterator[None]:
    """The last layer is given one place of each row: else it would make a vocabulary's logits for every token."""
    import torch

    def pick(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden = args[0]
        rows = torch.arange(len(places), device=hidden.device)
        return (hidden[rows, torch.tensor(places, device=hidden.device)].unsqueeze(1), *args[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        yield
    finally:
        hook.remove()


def halving(work: Callable[[list[int]], list[_T]], rows: list[int]) -> list[_T]:
    """The work's results for all rows; where memory runs out, for each half by itself. Raises RunError for one row."""
    import torch

    try:
        return work(rows)
    except RuntimeError as error:  # torch.OutOfMemoryError is one; a CPU's allocator raises the bare class
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        if len(rows) == 1:
            fix = "use a smaller model or dtype, or lower --max-tokens"
            raise RunError(f"the device's memory does not hold one prompt; {fix}") from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(rows) // 2
    return halving(work, rows[:middle]) + halving(work, rows[middle:])
