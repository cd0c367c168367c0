"""How a selection's folder comes to be: whole or not at all, in files of bounded size, in order."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from select2reason import building, export, pipeline
from select2reason import pool as pools
from select2reason.errors import OutputError
from select2reason.recipe import PoolSettings, ScoreSettings, SelectSettings

from .conftest import WriteRows

ROWS = [{"question": f"What is {n}?", "response": f"It is {n}. " * (n + 1), "hard": n} for n in range(40)]


def select(pool: Path, out: Path) -> pl.DataFrame:
    scores = ScoreSettings(difficulty="column:hard")
    pipeline.select(PoolSettings(pools=(str(pool),)), scores, SelectSettings(fraction=Decimal("0.5")), out)
    return pl.read_parquet(out / "data" / "*.parquet")


def test_data_is_cut_into_files_and_stays_in_order(
    write_rows: WriteRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_SHARD_ROWS", 7)
    monkeypatch.setattr(pools, "_CHUNK_BYTES", 900)
    monkeypatch.setattr(export, "_FILE_BYTES", 2_000)
    chosen = select(write_rows(ROWS), tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    assert len(names) > 2
    assert names == [f"train-{n:05}-of-{len(names):05}.parquet" for n in range(len(names))]
    assert chosen["row"].to_list() == list(range(39, 19, -1))  # hardest and longest alike: the last rows first
    assert chosen["question"].to_list() == [f"What is {n}?" for n in range(39, 19, -1)]
    assert [m[2]["content"] for m in chosen["messages"]] == [ROWS[n]["response"] for n in range(39, 19, -1)]
    assert not (tmp_path / "out" / "spill").exists()


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), export.whole_folder(tmp_path / "out", force=False) as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with export.whole_folder(tmp_path / "out", force=False) as folder:
        (folder / "manifest.json").write_text("{}")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "manifest.json"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for force in (False, True):
        with pytest.raises(OutputError, match="choose another --out"):
            export.refuse_existing(tmp_path / "out", force=force)


def test_examples_hold_the_whole_response_and_the_answer_apart() -> None:
    text = pl.DataFrame(
        [("Q", "<think>", "\nT\n", "</think>\n\nA.", "g"), ("Q", "", "all of it", "", None)],
        schema=dict.fromkeys(pools.TEXT, pl.String),
        orient="row",
    )
    first, second = export.as_examples(text).rows(named=True)
    assert first["messages"][2] == {"role": "assistant", "content": "<think>\nT\n</think>\n\nA."}
    assert (first["trace"], first["answer"], first["gold"]) == ("\nT\n", "A.", "g")
    assert (second["trace"], second["answer"], second["gold"]) == ("all of it", None, None)


def test_the_card_cannot_be_broken_out_of(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = write_rows(ROWS, "a`b\n.jsonl")
    select(pool, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "a`b" not in card
    assert card.startswith("---\nconfigs:")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["pool"]["sources"][0]["path"] == str(pool)
