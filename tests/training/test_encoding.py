"""Examples as token ids: as many as the selection counted, the same as the model's own tokenizer gives, nothing cut."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from select2reason.backends.chat_format import open_chat
from select2reason.chosen import Chosen, open_chosen
from select2reason.errors import RunError
from select2reason.pipeline import select
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings
from select2reason.tokens import load_tokenizer
from select2reason.training.encoding import Tokens, encode

from ..conftest import WriteRows
from ..real_selection import Real
from ..tiny_chat_model import make_chat_model
from ..whole_examples import assert_whole


def encoded(chosen: Chosen, model: Path, out: Path) -> tuple[Tokens, list[list[int]], list[list[int]]]:
    chat = open_chat(model, "m")
    tokens = encode(chosen, chat, load_tokenizer(str(model)), out, advance=lambda _: None)
    with pa.memory_map(str(out)) as file:
        table = pa.ipc.open_stream(file).read_all()
    return tokens, table["input_ids"].to_pylist(), table["labels"].to_pylist()


def test_200_real_rows_are_trained_to_the_token_that_the_selection_counted(real: Real, tmp_path: Path) -> None:
    tokens, ids, labels = encoded(real.chosen, real.tokenizer, tmp_path / "tokens.arrow")
    assert_whole(real, ids, labels)
    assert tokens.total == real.chosen.tokens == sum(map(len, ids))
    assert tokens.trained == sum(label != -100 for row in labels for label in row)
    assert tokens.lengths.tolist() == [len(row) for row in ids]


def test_ids_are_those_of_the_model_s_own_tokenizer(real: Real, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    _, ids, _ = encoded(real.chosen, real.tokenizer, tmp_path / "tokens.arrow")
    own = AutoTokenizer.from_pretrained(real.tokenizer)
    own.chat_template = open_chat(real.tokenizer, "m").template
    for row, found in zip(real.examples().head(60).iter_rows(named=True), ids, strict=False):
        turns = [("system", row["system"]), ("user", row["question"]), ("assistant", row["response"])]
        text = own.apply_chat_template([{"role": r, "content": c} for r, c in turns], tokenize=False)
        assert found == own(text, add_special_tokens=False)["input_ids"]


@pytest.fixture
def few(write_rows: WriteRows, tmp_path: Path) -> Chosen:
    marks = "e\u0301\u0323 and \u0915\u093f"
    rows = [
        {"question": f"What is {n}?", "response": f"<think>\n{n} {marks}\n</think>\n\n{n}", "h": n} for n in range(5)
    ]
    pool = PoolSettings((str(write_rows(rows)),))
    select(pool, ScoreSettings(difficulty="column:h"), SelectSettings(rows=5, preset="paper"), tmp_path / "few")
    return open_chosen(tmp_path / "few")


def test_the_loss_is_on_the_response_and_its_end_alone(few: Chosen, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    model = make_chat_model(tmp_path / "model")
    _, ids, labels = encoded(few, model, tmp_path / "tokens.arrow")
    tokenizer = AutoTokenizer.from_pretrained(model)
    for example, row, marks in zip(pl.concat(few.batches()).iter_rows(named=True), ids, labels, strict=True):
        trained = [one for one, mark in zip(row, marks, strict=True) if mark != -100]
        masked = [one for one, mark in zip(row, marks, strict=True) if mark == -100]
        assert tokenizer.decode(trained) == f"{example['response']}<|end|>\n"
        assert str(tokenizer.decode(masked)).endswith(f"{example['question']}<|end|>\n<|start|>assistant\n")


def test_a_tokenizer_that_transformers_reads_otherwise_is_refused(few: Chosen, tmp_path: Path) -> None:
    chat = open_chat(make_chat_model(tmp_path / "model"), "m")
    other = make_chat_model(tmp_path / "other", {" is": 0.1})
    with pytest.raises(RunError, match="give other tokens"):
        encode(few, chat, load_tokenizer(str(other)), tmp_path / "tokens.arrow", advance=lambda _: None)
