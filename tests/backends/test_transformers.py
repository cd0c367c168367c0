"""The transformers engine on small real models: hand-made logits, batches, prefixes, memory that runs out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("transformers", reason="needs transformers")

import torch
from tests.tiny_chat_model import TEMPLATE, make_chat_model

from select2reason.backends.base import Messages, Sampling
from select2reason.backends.transformers import TransformersBackend
from select2reason.errors import RunError, UsageError

LABELS = ("0", "1")
CHATS: list[Messages] = [
    [{"role": "system", "content": "Return 1 or 0."}, {"role": "user", "content": text}]
    for text in ("What is 1 + 1?", "Prove it. " * 9, "?", "How many? " * 4, "What is 1 + 2?")
]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> TransformersBackend:
    return TransformersBackend(str(make_chat_model(tmp_path_factory.mktemp("model"))), device="cpu")


def one_by_one(backend: TransformersBackend, chat: Messages) -> list[float]:
    """The labels' log-probabilities by the plainest code there is: one prompt, whole logits, no prefix."""
    tokenizer, model = backend._tokenizer, backend._model
    text = tokenizer.apply_chat_template(list(chat), add_generation_prompt=True, tokenize=False)
    with torch.inference_mode():
        logits = model(torch.tensor([tokenizer.encode(text, add_special_tokens=False)])).logits[0, -1]
    shares = torch.softmax(logits.double(), -1)
    names = tokenizer.get_vocab()
    return [math.log(float(shares[names[label]] + shares[names[f"Ġ{label}"]])) for label in LABELS]


def test_hand_made_logits_come_back_with_every_spelling_added_up(tmp_path: Path) -> None:
    folder = make_chat_model(tmp_path, {"Yes": 0.6, "1": 0.2, " 1": 0.1, "0": 0.04, " 0": 0.01})
    found = TransformersBackend(str(folder), device="cpu").label_logprobs(CHATS, LABELS)
    assert np.exp(found.low) == pytest.approx(np.tile([0.05, 0.3], (len(CHATS), 1)), abs=1e-5)
    assert np.array_equal(found.low, found.high)


@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_neither_batches_nor_a_shared_prefix_change_a_score(backend: TransformersBackend, batch_tokens: int) -> None:
    backend._batch_tokens = batch_tokens
    expected = [one_by_one(backend, chat) for chat in CHATS]
    assert backend.label_logprobs(CHATS, LABELS).low == pytest.approx(np.array(expected), abs=1e-4)
    assert backend.label_logprobs(CHATS[1:2], LABELS).low == pytest.approx(np.array(expected[1:2]), abs=1e-4)
    assert np.ptp(np.array(expected)[:, 1]) > 0.01  # else the test could not tell one prompt from another


def test_the_vocabulary_is_handed_out_once(backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    first = backend.label_logprobs(CHATS, LABELS).low
    monkeypatch.setattr(backend._tokenizer, "get_vocab", lambda: pytest.fail("handed out again"))
    assert np.array_equal(first, backend.label_logprobs(CHATS, LABELS).low)


def test_a_prompt_over_the_context_is_not_scored_and_harms_no_other(tmp_path: Path) -> None:
    backend = TransformersBackend(str(make_chat_model(tmp_path, context=80)), device="cpu")
    found = backend.label_logprobs([*CHATS[:1], [{"role": "user", "content": "long " * 60}]], LABELS).low
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()


def test_memory_that_runs_out_halves_the_batch(backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    backend._batch_tokens = 10_000
    expected = backend.label_logprobs(CHATS, LABELS).low
    sizes: list[int] = []
    real = backend._model.forward

    def tight(ids: torch.Tensor, **options: Any) -> Any:
        sizes.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(ids, **options)

    monkeypatch.setattr(backend._model, "forward", tight)
    assert backend.label_logprobs(CHATS, LABELS).low == pytest.approx(expected, abs=1e-4)
    assert max(sizes) == 5
    assert sum(size for size in sizes[1:] if size <= 2) == 5


def test_memory_for_not_even_one_prompt_is_one_line(
    backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(ids: torch.Tensor, **options: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(backend, "_kept", lambda prefix: None)
    monkeypatch.setattr(backend._model, "forward", never)
    with pytest.raises(RunError, match="does not hold one prompt; use a smaller model"):
        backend.label_logprobs(CHATS, LABELS)


def test_another_failure_is_not_taken_for_memory(backend: TransformersBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(ids: torch.Tensor, **options: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(backend, "_kept", lambda prefix: None)
    monkeypatch.setattr(backend._model, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        backend.label_logprobs(CHATS, LABELS)


def test_answers_without_temperature_do_not_depend_on_their_batch(backend: TransformersBackend) -> None:
    together = backend.generate(CHATS, Sampling(n=2, max_tokens=12))
    alone = [backend.generate([chat], Sampling(max_tokens=12))[0] for chat in CHATS]
    assert together == [one * 2 for one in alone]
    assert all(one.tokens <= 12 and (one.cut_off or one.tokens < 12) for (one,) in alone if one.tokens)


def test_drawn_answers_are_the_same_again_and_differ_among_each_other(backend: TransformersBackend) -> None:
    how = Sampling(n=4, temperature=1.0, max_tokens=8, seed=3)
    first, again = backend.generate(CHATS, how), backend.generate(CHATS, how)
    assert first == again
    assert len({one.text for one in first[0]}) > 1
    assert backend.generate(CHATS, Sampling(n=4, temperature=1.0, max_tokens=8, seed=4)) != first


def test_the_models_own_penalties_and_cuts_are_not_used(tmp_path: Path) -> None:
    """A repetition penalty in generation_config.json changes what a model says of a prompt that holds both labels."""
    folder = make_chat_model(tmp_path, {"x": 0.5, "y": 0.3})
    (folder / "generation_config.json").write_text('{"repetition_penalty": 5.0, "top_k": 1, "temperature": 0.01}')
    backend = TransformersBackend(str(folder), device="cpu")
    drawn = backend.generate([CHATS[0]], Sampling(n=200, temperature=1.0, max_tokens=1))[0]
    shares = [sum(one.text == letter for one in drawn) / 200 for letter in "xy"]
    assert shares == pytest.approx([0.5, 0.3], abs=0.12)


def test_a_template_without_a_system_turn_gets_its_text_before_the_users(tmp_path: Path) -> None:
    no_system = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
    with_system = TransformersBackend(str(make_chat_model(tmp_path / "a")), device="cpu")
    without = TransformersBackend(str(make_chat_model(tmp_path / "b", template=no_system)), device="cpu")
    merged: Messages = [{"role": "user", "content": "Return 1 or 0.\n\nWhat is 1 + 1?"}]
    found = without.label_logprobs(CHATS[:1], LABELS).low
    assert found == pytest.approx(with_system.label_logprobs([merged], LABELS).low, abs=1e-4)


def test_a_long_prompt_takes_no_room_from_a_short_one_and_none_is_answered_that_does_not_fit(tmp_path: Path) -> None:
    backend = TransformersBackend(str(make_chat_model(tmp_path, {"x": 0.99}, context=80)), device="cpu")
    chats: list[Messages] = [[{"role": "user", "content": "x" * size}] for size in (1, 40, 90)]
    beside = backend.generate(chats[:2], Sampling(max_tokens=40))
    alone = [backend.generate([chat], Sampling(max_tokens=40))[0] for chat in chats[:2]]
    assert beside == alone
    assert [one.tokens for (one,) in beside] == [40, 80 - 40 - len("|user\n|\n|assistant\n")]
    with pytest.raises(UsageError, match="does not fit the 80 of"):
        backend.generate(chats, Sampling(max_tokens=40))


def test_a_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = make_chat_model(tmp_path) / "model.safetensors"
    weights = load_file(file)
    del weights["lm_head.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks weights \(lm_head.weight\)"):
        TransformersBackend(str(tmp_path))


def test_damaged_weights_and_templates_are_one_line(tmp_path: Path) -> None:
    file = make_chat_model(tmp_path, template="{{ raise_exception('never') }}") / "model.safetensors"
    with pytest.raises(UsageError, match=r"chat template of .* fails \(never\)"):
        TransformersBackend(str(tmp_path)).label_logprobs(CHATS, LABELS)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UsageError, match="cannot be opened"):
        TransformersBackend(str(tmp_path))


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    backend = TransformersBackend(str(make_chat_model(tmp_path, template=None)), device="cpu")
    with pytest.raises(UsageError, match="has no chat template"):
        backend.label_logprobs(CHATS, LABELS)


def test_a_vocabulary_without_the_labels_is_refused(backend: TransformersBackend) -> None:
    with pytest.raises(UsageError, match="no single token for 'maybe'"):
        backend.label_logprobs(CHATS, ["0", "maybe"])


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be opened"):
        TransformersBackend(str(tmp_path))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = make_chat_model(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="safetensors"):
        TransformersBackend(str(folder))
