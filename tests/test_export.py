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
from select2reason.export import data
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings

from .conftest import WriteRows

ROWS = [{"question": f"What is {n}?", "response": f"It is {n}. " * (n + 1), "hard": n} for n in range(40)]


def select(pool: Path, out: Path) -> pl.DataFrame:
    scores = ScoreSettings(difficulty="column:hard")
    pipeline.select(PoolSettings(pools=(str(pool),)), scores, SelectSettings(fraction=Decimal("0.5")), out)
    return pl.read_parquet(out / "data" / "*.parquet")


@pytest.mark.parametrize(
    ("megabytes", "files"), [(1, 1), (64, 1), (65, 2), (150, 4), (320, 8), (4_000, 8), (5_000, 10)]
)
def test_files_are_as_many_as_cores_share_evenly(megabytes: int, files: int) -> None:
    chunks = [pools.Chunk(start, 1, 1 << 20, pl.DataFrame) for start in range(megabytes)]
    cut = [own for _, own in data._files(Path("data"), chunks)]
    assert len(cut) == files
    assert [chunk.start for own in cut for chunk in own] == [*range(megabytes)]
    assert max(map(len, cut)) - min(map(len, cut)) <= 1


@pytest.mark.parametrize(
    ("sizes", "files"),
    [
        ([70], [1]),
        ([8] * 11, [5, 6]),
        ([50, 30, 30], [1, 2]),
        ([10, 10, 60], [2, 1]),
        ([200, 8], [1, 1]),
        ([1, 200, 1], [1, 1, 1]),
    ],
)
def test_files_are_as_alike_as_chunks_let_them_be(sizes: list[int], files: list[int]) -> None:
    chunks = [pools.Chunk(start, 1, size << 20, pl.DataFrame) for start, size in enumerate(sizes)]
    assert [len(own) for _, own in data._files(Path("data"), chunks)] == files


def test_data_is_cut_into_files_and_stays_in_order(
    write_rows: WriteRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_SHARD_ROWS", 7)
    monkeypatch.setattr(pools, "_CHUNK_BYTES", 900)
    monkeypatch.setattr(data, "_FILE_BYTES", 2_000)
    chosen = select(write_rows(ROWS), tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    assert len(names) > 2
    assert names == [f"train-{n:05}-of-{len(names):05}.parquet" for n in range(len(names))]
    assert chosen["row"].to_list() == list(range(39, 19, -1))  # hardest and longest alike: the last rows first
    assert chosen["question"].to_list() == [f"What is {n}?" for n in range(39, 19, -1)]
    assert [m[2]["content"] for m in chosen["messages"]] == [ROWS[n]["response"] for n in range(39, 19, -1)]
    assert not (tmp_path / "out" / "spill").exists()


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), export.whole_folder(tmp_path / "out", force=False, kind="selection") as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with export.whole_folder(tmp_path / "out", force=False, kind="selection") as folder:
        (folder / "manifest.json").write_text("{}")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "manifest.json"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for force in (False, True):
        with pytest.raises(OutputError, match="choose another --out"):
            export.check_out(tmp_path / "out", force=force, kind="selection")


@pytest.mark.parametrize(
    "manifest",
    ['{"name": "app"}', "[]", "{", '{"kind": "selection", "versions": {"select2reason": "1"}, "outputs": {}}'],
)
def test_force_replaces_nothing_but_a_result_and_nothing_beside_it(manifest: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "thesis.txt").write_text("long work")
    with pytest.raises(OutputError, match="no earlier selection"):
        export.check_out(tmp_path, force=True, kind="selection")


def test_one_kind_of_result_never_takes_the_place_of_another(write_rows: WriteRows, tmp_path: Path) -> None:
    select(write_rows(ROWS), tmp_path / "out")
    kinds: tuple[export.Kind, ...] = ("analysis", "export", "model")
    for kind in kinds:
        with pytest.raises(OutputError, match=f"no earlier {kind}"):
            export.check_out(tmp_path / "out", force=True, kind=kind)
    export.check_out(tmp_path / "out", force=True, kind="selection")


def test_what_came_there_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="exists"), export.whole_folder(out, force=False, kind="selection"):
        out.mkdir()
        (out / "thesis.txt").write_text("long work")
    assert (out / "thesis.txt").read_text() == "long work"


def test_a_renaming_that_fails_puts_the_earlier_result_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    manifest = json.dumps({"kind": "selection", "versions": {"select2reason": "1"}, "outputs": {}})
    for text in ("first", "second"):
        with export.whole_folder(out, force=True, kind="selection") as folder:
            (folder / "manifest.json").write_text(manifest + " " * len(text))
    before, rename = (out / "manifest.json").read_text(), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="no"), export.whole_folder(out, force=True, kind="selection") as folder:
        (folder / "manifest.json").write_text("third")
    assert (out / "manifest.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_to_an_empty_folder_is_filled_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with export.whole_folder(tmp_path / "link", force=False, kind="selection") as folder:
        (folder / "a").touch()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").exists()


def test_no_two_carried_columns_get_one_name(write_rows: WriteRows, tmp_path: Path) -> None:
    rows = [{**row, "row": "a", "row_input": "b"} for row in ROWS]
    chosen = select(write_rows(rows), tmp_path / "out").row(0, named=True)
    assert (chosen["row_input_input"], chosen["row_input"]) == ("a", "b")


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
