"""A language model with one output as a regressor (the reward model of METHOD 2), on transformers.

The model reads a text and an ending; what its last layer says of the ending's last token goes through one linear head,
as AutoModelForSequenceClassification does it. `reward_training.py` fits such models; here they are opened, asked and
saved. Only decoders with a linear head named `score` (Qwen2.5, Llama, SmolLM2, Mistral, Gemma, Phi and their like).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from select2reason.backends.chats import batches_of
from select2reason.errors import RunError, UsageError, in_a_line

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Advance = Callable[[float], None]
Untyped = Any  # of transformers, whose annotations leave out what its models have
_OWN = "select2reason"  # the key of `Reading` in the model's config.json


@dataclass(frozen=True, slots=True)
class Reading:
    """How a model is read: kept with it, because its weights mean nothing read otherwise.

    Every text ends with `ending`: the same last token for all gave better frozen features than each text's own.
    The output is sigmoid(scale * logit + shift).
    """

    max_length: int = 1024  # tokens, the ending included; a longer text keeps its beginning
    ending: str = "\n"
    scale: float = 1.0
    shift: float = 0.0


class TransformersRegressor:
    """One number in (0, 1) for a text. `open` makes one.

    bfloat16 on a GPU, float32 on a CPU; the head is always float32, since bfloat16 would tie near scores.
    """

    def __init__(self, model: Untyped, tokenizer: Untyped, *, reading: Reading, batch_tokens: int = 8192) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.reading = reading
        self.batch_tokens = batch_tokens  # padded tokens in one batch; halved for good where they do not fit
        self.backbone = getattr(model, model.base_model_prefix)
        self._ending = tokenizer(reading.ending, add_special_tokens=False)["input_ids"]

    @classmethod
    def open(
        cls,
        name: str,
        *,
        device: str | None = None,
        reading: Reading | None = None,
        layers: int | None = None,
        half: bool = True,
    ) -> TransformersRegressor:
        """Open a folder that `save` wrote, or, with `reading`, any base model: a folder or a Hub id.

        `layers` keeps the first so many layers of the base; `half` False keeps float32 on a GPU, too. Raises UsageError
        where packages are missing or the model cannot be opened so.
        """
        torch, transformers = libraries()
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if half and place.startswith("cuda") else torch.float32
        with _quiet(transformers), _mapped(name):
            config = _config(transformers, name, layers)
            tokenizer = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            _set_padding(tokenizer, config)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(
                name, config=config, dtype=dtype, use_safetensors=True, trust_remote_code=False
            )
            if not isinstance(getattr(model, "score", None), torch.nn.Linear):
                raise ValueError(f"{config.model_type} has no linear head `score`")
            reading = _within(reading or Reading(**getattr(config, _OWN)), config)
            model.score.float()
            return cls(model.to(place), tokenizer, reading=reading)

    def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """sigmoid(scale * logit + shift) of each text, in order; NaN for a blank text."""
        there = [i for i, text in enumerate(texts) if text and text.strip()]
        predicted = np.full(len(texts), np.nan)
        logits = self.logits(self.encode([texts[i] for i in there]))
        predicted[there] = 1 / (1 + np.exp(-(self.reading.scale * logits + self.reading.shift)))
        return predicted

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut to the model's length, with the ending."""
        if not texts:
            return []
        room = self.reading.max_length - len(self._ending)
        cut = self.tokenizer(list(texts), truncation=True, max_length=room, padding=False)["input_ids"]
        return [[*ids, *self._ending] for ids in cut]

    def logits(self, rows: Sequence[list[int]]) -> NDArray[np.float64]:
        """The head's output for each row of token ids, in order: shape (rows,)."""
        return self._run(rows, self.model.score, lambda done: None)[:, 0]

    def features(self, rows: Sequence[list[int]], advance: Advance = lambda done: None) -> NDArray[np.float64]:
        """What the head sees of each row of token ids, in order: shape (rows, hidden size)."""
        return self._run(rows, lambda pooled: pooled, advance)

    def pooled(self, rows: Sequence[list[int]]) -> torch.Tensor:
        """The last layer at each row's last token, float32: shape (rows, hidden size)."""
        import torch

        device = self.model.device
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.model.config.pad_token_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), 1
        mixed = torch.autocast(device.type, torch.bfloat16) if device.type == "cuda" else nullcontext()
        with mixed:
            seen = self.backbone(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False)
        last = torch.tensor([len(row) - 1 for row in rows], device=device)
        pooled: torch.Tensor = seen.last_hidden_state[torch.arange(len(rows), device=device), last].float()
        return pooled

    def save(self, folder: Path) -> None:
        """Write safetensors, configuration (with the reading) and tokenizer: what `open` reads."""
        setattr(self.model.config, _OWN, asdict(self.reading))
        with _quiet(libraries()[1]):
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def close(self) -> None:
        """Let go of the model and of the GPU's memory."""
        import torch

        del self.model, self.backbone
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _run(
        self, rows: Sequence[list[int]], head: Callable[[torch.Tensor], torch.Tensor], advance: Advance
    ) -> NDArray[np.float64]:
        import torch

        waiting = list(batches_of([len(row) for row in rows], self.batch_tokens))
        found: list[tuple[NDArray[np.intp], NDArray[np.float64]]] = []
        self.model.eval()
        while waiting:
            batch = waiting.pop()  # the longest first: what does not fit shows at once
            try:
                with torch.inference_mode():
                    values = head(self.pooled([rows[i] for i in batch])).double().cpu().numpy()
            except torch.OutOfMemoryError as error:
                waiting += self._halved(batch, rows, error)
                continue
            found.append((batch, values))
            advance(len(batch))
        return _in_order(found)

    def _halved(
        self, batch: NDArray[np.intp], rows: Sequence[list[int]], error: RuntimeError
    ) -> list[NDArray[np.intp]]:
        import torch

        if len(batch) == 1:
            raise RunError(
                f"a question of {len(rows[batch[0]])} tokens does not fit into the GPU's memory; use a smaller model"
            ) from error
        torch.cuda.empty_cache()
        self.batch_tokens //= 2
        return np.array_split(batch, 2)


def libraries() -> tuple[ModuleType, ModuleType]:
    """torch and transformers. Raises UsageError where they are not installed."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise UsageError(f"{error.name} is missing: it needs pip install 'select2reason[transformers]'") from error
    return torch, transformers


def _in_order(found: Sequence[tuple[NDArray[np.intp], NDArray[np.float64]]]) -> NDArray[np.float64]:
    if not found:
        return np.empty((0, 1))
    rows = np.concatenate([batch for batch, _ in found])
    return np.concatenate([values for _, values in found])[np.argsort(rows)]


def _config(transformers: ModuleType, name: str, layers: int | None) -> Untyped:
    config = transformers.AutoConfig.from_pretrained(name, num_labels=1, trust_remote_code=False)
    if layers is not None:
        if not 1 <= layers <= config.num_hidden_layers:
            raise ValueError(f"it has {config.num_hidden_layers} layers, not {layers}")
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
    return config


def _within(reading: Reading, config: Untyped) -> Reading:
    """No longer than the model's positions reach."""
    positions = getattr(config, "max_position_embeddings", None) or reading.max_length
    return replace(reading, max_length=min(reading.max_length, positions))


def _set_padding(tokenizer: Untyped, config: Untyped) -> None:
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ValueError("its tokenizer has neither a padding token nor an end token")
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    config.pad_token_id = tokenizer.pad_token_id


@contextmanager
def _mapped(name: str) -> Iterator[None]:
    """The libraries' errors as ours."""
    import torch
    from safetensors import SafetensorError

    wrong = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, AssertionError)
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise RunError(f"{name} does not fit into the GPU's memory; use a smaller model") from error
    except (*wrong, SafetensorError) as error:
        head = in_a_line(error)
        fix = "give a folder or Hub id of a decoder with safetensors, such as Qwen/Qwen2.5-1.5B"
        raise UsageError(f"cannot use {name} as a reward model ({head}); {fix}") from error


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """Without the library's own bars, and without its warning that the head is new."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
