"""Settings made in Python are looked at as options are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from select2reason.errors import UsageError
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"preset": "sfe"}, "preset is not 'sfe'; it can be safe, paper"),
        ({"strategy": "longst"}, "strategy is not 'longst'"),
        ({"verify": "grad"}, "verify is not 'grad'"),
        ({"checks": "non"}, "checks is not 'non'; it can be all, used"),
        ({"keep": "looping"}, r"keep takes several reasons; give \('looping',\)"),
        ({"keep": ("loopng",)}, "keep is not 'loopng'; it can be no_trace, looping"),
        ({"rows": 2.5}, "rows must be a whole number, not 2.5"),
        ({"per_question": 1.5}, "per_question must be a whole number"),
        ({"weight": "0.5"}, "weight must be a number, not '0.5'"),
        ({"weight": None}, "weight must be a number, not None"),
        ({"weight": True}, "weight must be a number, not True"),
        ({"weight": 3}, "weight must be between 0 and 1"),
        ({"weight": float("nan")}, "weight must be between 0 and 1"),
        ({"fraction": 2}, "fraction must be above 0 and at most 1"),
        ({"fraction": 0.1, "rows": 3}, "give one of fraction, rows and token_budget"),
        ({"rows": 0}, "rows must be at least 1"),
        ({"rows": True}, "rows must be a whole number, not True"),
        ({"per_question": -1}, "per_question must be a whole number from 0"),
        ({"cutoff_len": -1}, "cutoff_len must be a whole number from 0"),
        ({"strategy": "random", "seed": None}, "seed must be a whole number, not None"),
        ({"keep": None}, "keep takes several reasons"),
        ({"weight": np.array([0.1, 0.2])}, "weight must be a number"),
        ({"seed": 2**70}, "seed must be a whole number from 0 to"),
    ],
)
def test_settings_are_checked_like_options(wrong: Mapping[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SelectSettings(**wrong)


def test_a_pool_is_named() -> None:
    with pytest.raises(UsageError, match="no pool is named"):
        PoolSettings(())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"carry": None}, "give a name, or several; got None"),
        ({"columns": "question=problem"}, "columns maps roles to columns"),
        ({"max_bad_fraction": "0.1"}, "max_bad_fraction must be a number"),
        ({"cache_dir": 3}, "cache_dir is a folder; got 3"),
        ({"ray": True}, "ray takes RaySettings; got True"),
        ({"max_bad_fraction": -1}, "max_bad_fraction must be between 0 and 1"),
        ({"max_bad_fraction": float("nan")}, "max_bad_fraction must be between 0 and 1"),
    ],
)
def test_how_a_pool_is_read_is_checked(wrong: Mapping[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        PoolSettings(("p",), **wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"contamination": "off"}, "contamination must be True, False or None, not 'off'"),
        ({"difficulty": None}, "difficulty must be a name, not None"),
        ({"tokenizer": 3}, "tokenizer must be a name, not 3"),
        ({"engine": "ray"}, "engine takes BackendSettings, who runs a model and how; got 'ray'"),
        ({"judge": "hard?"}, "judge takes a JudgePrompt; got 'hard\\?'"),
    ],
)
def test_how_a_pool_is_scored_is_checked(wrong: Mapping[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ScoreSettings(**wrong)


def test_one_name_alone_is_no_letters() -> None:
    assert PoolSettings(("p",), carry="uuid").carry == ("uuid",)  # type: ignore[arg-type]
    assert PoolSettings(("p",), carry=["a", "b"]).carry == ("a", "b")  # type: ignore[arg-type]
    assert PoolSettings(iter([Path("a"), "b"])).pools == ("a", "b")  # type: ignore[arg-type]
    for table in (pl.DataFrame({"question": ["q"]}), b"abc", [1], {"a": 1}):
        with pytest.raises(UsageError, match="give a name, or several; got "):
            PoolSettings(table)  # type: ignore[arg-type]
    assert ScoreSettings(benchmark_files="own.jsonl").benchmark_files == ("own.jsonl",)  # type: ignore[arg-type]


def test_settings_that_mean_the_same_are_the_same() -> None:
    kept = {SelectSettings(keep=keep) for keep in (("looping", "cut_off"), ("cut_off", "looping"))}
    assert len(kept) == 1
    assert SelectSettings(keep={"cut_off", "looping"}) in kept  # type: ignore[arg-type]
    assert type(SelectSettings(rows=np.int64(5)).rows) is int  # type: ignore[arg-type]
    assert PoolSettings(("p",), carry=np.array(["a", "b"])).carry == ("a", "b")  # type: ignore[arg-type]
    assert type(SelectSettings(weight=np.float32(0.25)).weight) is float  # type: ignore[arg-type]
