"""A selection of real rows, with think tags and without, for trainers to read: made once a test session."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from select2reason import pipeline
from select2reason.chosen import Chosen, open_chosen
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings

_POOLS = ("limo_r1_distill_qwen32b", "math_train_thinking_models", "marco_o1_cot_demo")


@dataclass(frozen=True)
class Real:
    """The selection, and Qwen2.5's tokenizer as a folder that transformers opens."""

    chosen: Chosen
    tokenizer: Path

    def examples(self) -> pl.DataFrame:
        return pl.concat(self.chosen.batches())


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    from .conftest import SHARED

    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared with real data, which is not here")
    folder = tmp_path_factory.mktemp("real")
    pools = tuple(str(SHARED / "data" / "traces" / f"{name}.parquet") for name in _POOLS)
    pipeline.select(
        PoolSettings(pools, cache_dir=folder / "cache"),
        ScoreSettings(),
        SelectSettings(rows=260, strategy="random", preset="paper", cutoff_len=16_384),
        folder / "selection",
    )
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    shutil.copy(SHARED / "tokenizers" / "qwen2.5" / "tokenizer.json", tokenizer / "tokenizer.json")
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(about))
    (tokenizer / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    return Real(open_chosen(folder / "selection"), tokenizer)
