"""A selection handed to trainers: rows as they stand, limits above the longest, nothing that would change them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from select2reason.chosen import Chosen, open_chosen
from select2reason.cli import whole_app
from select2reason.errors import OutputError, UsageError
from select2reason.export.handover import FAMILIES, PAPER_MODEL, ForModel, Trainer, hand_over
from select2reason.extension import PAPER, Extension
from select2reason.pipeline import select
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings
from select2reason.sources import find_files
from select2reason.trace import SYSTEM_PROMPT

from .conftest import WriteRows

RESPONSES = ["<think>\nOdd: \u2028 \x00 é.\n</think>\n\n 1 ", "\n2 without a thought", "<think>\n\n</think>\n\n3"]


@pytest.fixture
def chosen(write_rows: WriteRows, tmp_path: Path) -> Chosen:
    rows = [{"question": f"Q{n}: «?»", "response": text, "hard": -n} for n, text in enumerate(RESPONSES)]
    pool = PoolSettings((str(write_rows(rows)),))
    settings = SelectSettings(rows=3, preset="paper", cutoff_len=100, strategy="hardest")
    select(pool, ScoreSettings(difficulty="column:hard"), settings, tmp_path / "chosen")
    return open_chosen(tmp_path / "chosen")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_bytes().splitlines()]


def turns(role: str, content: str, names: tuple[str, str, str]) -> list[list[dict[str, str]]]:
    texts = [(SYSTEM_PROMPT, f"Q{n}: «?»", response) for n, response in enumerate(RESPONSES)]
    return [[{role: name, content: text} for name, text in zip(names, row, strict=True)] for row in texts]


OPENAI = turns("role", "content", ("system", "user", "assistant"))


@pytest.mark.parametrize("trainer", ["llamafactory", "axolotl"])
def test_messages_are_the_selection_s(trainer: Trainer, chosen: Chosen, tmp_path: Path) -> None:
    hand_over(chosen, trainer, tmp_path / "out", model=ForModel(), command="")
    assert [row["messages"] for row in lines(tmp_path / "out")] == OPENAI


def test_nothing_is_put_into_the_selection_itself(chosen: Chosen) -> None:
    for out in (chosen.folder, chosen.folder / "for-trl"):
        with pytest.raises(OutputError, match="is within the selection"):
            hand_over(chosen, "trl", out, model=ForModel(), command="")


def test_an_export_is_no_part_of_the_pool_around_it(chosen: Chosen, write_rows: WriteRows, tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    pool = write_rows([{"question": "Q", "response": "R"}], "pool/a.jsonl")
    hand_over(chosen, "sharegpt", tmp_path / "pool" / "handed", model=ForModel(), command="")
    assert [file.path for file in find_files(str(pool.parent))] == [pool]


def test_sharegpt_and_alpaca_are_rows_alone(chosen: Chosen, tmp_path: Path) -> None:
    for trainer in ("sharegpt", "alpaca"):
        made = hand_over(chosen, trainer, tmp_path / trainer, model=ForModel(), command="")
        assert (made.files, made.commands) == (("README.md", "manifest.json", "train.jsonl"), ())
    sharegpt = turns("from", "value", ("system", "human", "gpt"))
    assert [row["conversations"] for row in lines(tmp_path / "sharegpt")] == sharegpt
    assert lines(tmp_path / "alpaca") == [
        {"instruction": f"Q{n}: «?»", "input": "", "output": response, "system": SYSTEM_PROMPT}
        for n, response in enumerate(RESPONSES)
    ]


def test_trl_gets_prompt_and_completion(chosen: Chosen, tmp_path: Path) -> None:
    hand_over(chosen, "trl", tmp_path / "out", model=ForModel(), command="")
    frame = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")
    assert [[*prompt, *completion] for prompt, completion in frame.iter_rows()] == OPENAI


@pytest.mark.parametrize(
    ("trainer", "key"), [("llamafactory", "cutoff_len"), ("trl", "max_length"), ("axolotl", "sequence_len")]
)
def test_no_limit_is_below_the_longest_example(trainer: Trainer, key: str, chosen: Chosen, tmp_path: Path) -> None:
    hand_over(chosen, trainer, tmp_path / "out", model=ForModel(extension=PAPER), command="")
    settings = yaml.safe_load((tmp_path / "out" / "train.yaml").read_text())
    assert settings[key] == 100 > chosen.longest
    assert settings["base_model" if trainer == "axolotl" else "model_name_or_path"] == "model"


def test_the_model_with_the_longer_context_is_made_first(chosen: Chosen, tmp_path: Path) -> None:
    made = hand_over(chosen, "llamafactory", tmp_path / "out", model=ForModel(extension=PAPER), command="")
    extend = f"select2reason extend {PAPER_MODEL} --rope-theta 300000 --context 32768 --out model"
    assert made.commands == (extend, "llamafactory-cli train train.yaml")
    assert extend in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("model", "template"),
    [("Qwen/Qwen2.5-7B", "qwen"), ("Qwen/Qwen3-4B", "qwen3_nothink"), ("meta-llama/Llama-3.1-8B", "llama3"),
     ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "deepseek3"),
     ("microsoft/Phi-4-mini-instruct", "phi4_mini")],
)  # fmt: skip
def test_llamafactory_is_given_no_template_that_thinks(
    model: str, template: str, chosen: Chosen, tmp_path: Path
) -> None:
    hand_over(chosen, "llamafactory", tmp_path / "out", model=ForModel(model), command="")
    assert yaml.safe_load((tmp_path / "out" / "train.yaml").read_text())["template"] == template


def test_a_model_that_is_here_is_known_by_its_own_name_or_its_tokens(chosen: Chosen, tmp_path: Path) -> None:
    named = tmp_path / "qwen2.5-runs" / "Llama-3.1-8B"
    named.mkdir(parents=True)
    hand_over(chosen, "llamafactory", tmp_path / "one", model=ForModel(str(named)), command="")
    assert yaml.safe_load((tmp_path / "one" / "train.yaml").read_text())["template"] == "llama3"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "tokenizer.json").write_text('{"added_tokens": [{"content": "<|im_start|>"}, {"content": "<|im_end|>"}]}')
    made = hand_over(chosen, "trl", tmp_path / "two", model=ForModel(str(mine), extension=PAPER), command="")
    assert f"select2reason extend {mine} " in made.commands[0]  # from whatever folder
    with pytest.raises(UsageError, match="no such folder"):
        hand_over(chosen, "trl", tmp_path / "three", model=ForModel(str(tmp_path / "Qwen2.5")), command="")


def test_a_context_below_the_longest_example_is_refused(chosen: Chosen, tmp_path: Path) -> None:
    model = ForModel(extension=Extension(context=10))
    with pytest.raises(UsageError, match="--context 10 is below the longest example"):
        hand_over(chosen, "trl", tmp_path / "out", model=model, command="")


def test_a_model_whose_chat_is_not_known_is_not_guessed_at(chosen: Chosen, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name it with --template"):
        hand_over(chosen, "llamafactory", tmp_path / "out", model=ForModel("a/b"), command="")
    for name in ("a/b", "meta-llama/Llama-3.1-8B", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"):
        with pytest.raises(UsageError, match="select2reason train"):
            hand_over(chosen, "trl", tmp_path / "out", model=ForModel(name), command="")
    assert not (tmp_path / "out").exists()
    assert len({family.word for family in FAMILIES}) == len(FAMILIES)


def test_what_a_user_should_know_is_said(chosen: Chosen, tmp_path: Path) -> None:
    made = hand_over(chosen, "llamafactory", tmp_path / "out", model=ForModel("meta-llama/Llama-3.1-8B"), command="")
    assert any("--tokenizer meta-llama/Llama-3.1-8B" in note for note in made.notes)
    assert any("1 of 3 examples have no think tags" in note for note in made.notes)
    made = hand_over(replace(chosen, cutoff_tokens=16_384), "trl", tmp_path / "two", model=ForModel(), command="")
    assert any("Qwen2.5-Math-7B-Instruct reads 4,096 tokens, the limit is 16,384" in note for note in made.notes)
    made = hand_over(replace(chosen, tokenizer="/mine"), "trl", tmp_path / "three", model=ForModel(), command="")
    assert any("counted with the tokenizer /mine" in note for note in made.notes)


# --- as typed -------------------------------------------------------------------------------------------------------


def test_the_command_says_what_to_run(chosen: Chosen, tmp_path: Path) -> None:
    words = ["export", str(chosen.folder), "--to", "llamafactory", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(whole_app(), words)
    assert done.exit_code == 0, done.output
    assert "llamafactory-cli train train.yaml" in done.output
    assert "3 examples" in done.output
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["selection"]["digest"] == chosen.digest
    assert set(manifest["outputs"]) >= {"train.jsonl", "train.yaml", "dataset_info.json", "deepspeed.json"}
    told = json.loads(CliRunner().invoke(whole_app(), [*words, "--force", "--json"]).stdout)
    assert (told["rows"], told["cutoff_len"]) == (3, 100)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "trl"], "takes --out"),
        (["--to", "trl", "--out", "x", "--repo", "a/b"], "are for --to hub"),
        (["--to", "trl", "--out", "x", "--template", "qwen"], "LLaMA-Factory"),
        (["--to", "alpaca", "--out", "x", "--context", "9"], "rows alone"),
        (["--to", "hub"], "takes --repo"),
        (["--to", "hub", "--repo", "a/b", "--out", "x"], "neither --out"),
    ],
)
def test_options_that_do_not_go_together(words: list[str], told: str, chosen: Chosen) -> None:
    done = CliRunner().invoke(whole_app(), ["export", str(chosen.folder), *words])
    assert isinstance(done.exception, UsageError)
    assert told in str(done.exception)
