"""A language model with one output: order, blanks, saving, memory that does not suffice, and learning a rule."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("transformers", reason="needs transformers")

import torch
from tests.tiny_language_model import make_language_model, questions

from select2reason.backends.chats import batches_of
from select2reason.backends.reward_model import Reading, TransformersRegressor
from select2reason.backends.reward_training import Labelled, Tuning, fine_tune, platt
from select2reason.errors import RunError, UsageError

QUICK = Tuning(epochs=8, batch_tokens=128, learning_rate=2e-3, max_length=32, patience=8, device="cpu")
FROZEN = replace(QUICK, epochs=0)
ADAPTED = replace(QUICK, lora=True, learning_rate=3e-3, epochs=16, patience=16)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_language_model(tmp_path_factory.mktemp("base")))


def opened(base: str) -> TransformersRegressor:
    torch.manual_seed(0)
    return TransformersRegressor.open(base, device="cpu", reading=Reading(max_length=16))


def tuned(base: str, tuning: Tuning = QUICK, *, seed: int = 0) -> TransformersRegressor:
    texts, labels = questions(400)
    sides = Labelled(texts[:320], labels[:320]), Labelled(texts[320:], labels[320:])
    return fine_tune(base, *sides, tuning=tuning, seed=seed)


@pytest.mark.parametrize("lora", [False, True])
def test_it_learns_a_rule_of_questions_that_it_did_not_see(base: str, lora: bool) -> None:
    if lora:
        pytest.importorskip("peft", reason="needs peft")
    texts, labels = questions(100, seed=1)
    model = tuned(base, ADAPTED if lora else QUICK)
    error, before = (np.abs(one.predict(texts) - labels).mean() for one in (model, tuned(base, FROZEN)))
    assert error < min(0.08, before / 4)
    assert not any("lora" in name for name, _ in model.model.named_parameters())


def test_the_closed_form_head_alone_learns_what_the_frozen_model_shows(base: str) -> None:
    texts, _ = questions(300, seed=1)
    labels = np.array([0.8 if text.startswith("Prove") else 0.2 for text in texts])
    sides = Labelled(texts[:160], labels[:160]), Labelled(texts[160:200], labels[160:200])
    predicted = fine_tune(base, *sides, tuning=FROZEN, seed=0).predict(texts[200:])
    assert np.abs(predicted - labels[200:]).mean() < 0.1


def test_equal_seeds_give_equal_models(base: str) -> None:
    texts, _ = questions(20, seed=2)
    one, same, other = (tuned(base, seed=seed).predict(texts) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_training_that_gains_nothing_leaves_the_first_state(base: str) -> None:
    texts, _ = questions(20, seed=2)
    wild = tuned(base, replace(QUICK, learning_rate=1e4, epochs=2))  # it runs away to NaN
    assert wild.predict(texts) == pytest.approx(tuned(base, FROZEN).predict(texts), abs=1e-6)


def test_what_is_saved_predicts_the_same_and_opens_elsewhere(base: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    texts, _ = questions(20, seed=2)
    model = tuned(base)
    predicted = model.predict(texts)
    model.save(tmp_path)
    again = TransformersRegressor.open(str(tmp_path), device="cpu")
    assert again.reading == model.reading
    assert np.array_equal(again.predict(texts), predicted)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    with torch.inference_mode():
        logits = [plain(torch.tensor([ids])).logits.item() for ids in model.encode(texts)]
    assert 1 / (1 + np.exp(-(model.reading.scale * np.array(logits) + model.reading.shift))) == pytest.approx(
        predicted, abs=1e-5
    )


def test_order_is_kept_and_a_blank_text_has_no_number(base: str) -> None:
    model = opened(base)
    texts = ["Add two coins .", "", "Prove " + "primes " * 12, " \n", "Add .", "Prove three roots two coins ."]
    model.batch_tokens = 12
    predicted = model.predict(texts)
    assert np.flatnonzero(np.isnan(predicted)).tolist() == [1, 3]
    for i in (0, 2, 4, 5):
        assert model.predict([texts[i]])[0] == pytest.approx(predicted[i], abs=1e-6)
    assert model.predict([]).shape == (0,)
    assert np.isnan(model.predict([""])).all()


def test_a_long_text_is_cut_and_keeps_the_ending(base: str) -> None:
    model = opened(base)
    long, short = model.encode(["Prove " + "primes " * 40, "Add coins"])
    assert (len(long), len(short)) == (16, 3)
    assert long[-1] == short[-1]
    assert long[0] != short[0]


class OnceFull:
    """A backbone that runs out of memory on batches of more than `most` rows."""

    def __init__(self, real: Callable[..., Any], most: int) -> None:
        self.real, self.most, self.refused = real, most, 0

    def __call__(self, input_ids: torch.Tensor, **rest: Any) -> Any:
        if len(input_ids) > self.most:
            self.refused += 1
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return self.real(input_ids=input_ids, **rest)


def test_a_batch_that_does_not_fit_is_halved(base: str) -> None:
    texts, _ = questions(12)
    model = opened(base)
    predicted = model.predict(texts)
    full = OnceFull(model.backbone, most=6)
    model.backbone = full
    assert model.predict(texts) == pytest.approx(predicted, abs=1e-6)
    assert (full.refused, model.batch_tokens) == (1, 4096)


def test_one_text_that_does_not_fit_is_an_error(base: str) -> None:
    model = opened(base)
    model.backbone = OnceFull(model.backbone, most=0)
    with pytest.raises(RunError, match="smaller model"):
        model.predict(["Add coins"])


def test_training_that_does_not_fit_names_the_fix(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.functional, "binary_cross_entropy_with_logits", refuse)
    with pytest.raises(RunError, match="LoRA"):
        tuned(base)


def test_a_base_can_be_cut_to_its_first_layers(base: str) -> None:
    model = TransformersRegressor.open(base, device="cpu", reading=Reading(), layers=1)
    assert len(model.backbone.layers) == 1
    with pytest.raises(UsageError, match="2 layers, not 3"):
        TransformersRegressor.open(base, device="cpu", reading=Reading(), layers=3)


def test_what_is_no_model_is_refused(base: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot use"):
        TransformersRegressor.open(str(tmp_path), device="cpu", reading=Reading())
    with pytest.raises(UsageError, match="select2reason"):  # a base, where a fitted model was asked for
        TransformersRegressor.open(base, device="cpu")


def test_a_device_that_is_not_there_is_refused(base: str) -> None:
    with pytest.raises(UsageError, match="cannot use"):
        TransformersRegressor.open(base, device="nowhere", reading=Reading())


def test_texts_are_cut_to_the_models_positions(base: str) -> None:
    assert TransformersRegressor.open(base, device="cpu", reading=Reading(max_length=500)).reading.max_length == 64


def test_missing_packages_name_the_fix(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"pip install 'select2reason\[transformers\]'"):
        TransformersRegressor.open(base)


def test_batches_hold_like_lengths_within_the_budget() -> None:
    lengths = [5, 1, 9, 2, 2, 30]
    batches = [batch.tolist() for batch in batches_of(lengths, 10)]
    assert batches == [[1, 3, 4], [0], [2], [5]]  # 3 rows of 2; 5 + 9 would be 18 padded; 30 alone is over the budget
    assert list(batches_of([], 10)) == []


def test_platt_scaling_finds_scale_and_shift_and_keeps_the_order() -> None:
    logits = np.random.default_rng(0).normal(size=4000)
    scale, shift = platt(logits, 1 / (1 + np.exp(-(0.5 * logits - 1))))
    assert (scale, shift) == pytest.approx((0.5, -1), abs=0.01)
    assert platt(logits, 1 / (1 + np.exp(logits))) == (1.0, 0.0)
