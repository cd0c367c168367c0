"""What a run refuses, and what it tells of what it was given."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from select2reason import cache, opening, pipeline
from select2reason.errors import OutputError, UsageError, first_line
from select2reason.settings import PoolSettings, ScoreSettings

from .conftest import WriteRows
from .runs import PAPER, SAFE, data, every_reason, question_row, run


@pytest.fixture
def pool(write_rows: WriteRows) -> Path:
    return every_reason(write_rows)


@pytest.mark.parametrize(
    ("said", "told"), [("first\nsecond", "first"), ("\n late\nmore", "late"), ("", "ValueError"), (" \n", "ValueError")]
)
def test_of_a_library_s_error_the_first_line_is_told_or_its_name(said: str, told: str) -> None:
    assert first_line(ValueError(said)) == told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"difficulty": "column:nope"}, r"no column nope .*pass_rate"),
        ({"difficulty": "column:pas_rate"}, r"did you mean column:pass_rate"),
        ({"difficulty": "column:uuid"}, r"uuid holds no finite number"),
        ({"difficulty": "column:"}, r"builtin, judge, reward:DIR, rollout:DIR, column:NAME"),
        ({"difficulty": "oracle"}, r"builtin, judge, reward:DIR, rollout:DIR, column:NAME"),
        ({"carry": ("nope",)}, r"--carry nope: what can be carried is"),
    ],
)
def test_wrong_settings_are_one_clear_line(pool: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(pool, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("changes", [{"difficulty": "column:nope"}, {"carry": ("nope",)}])
def test_a_column_that_no_file_has_is_refused_before_they_are_read(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    pl.read_ndjson(pool).write_parquet(tmp_path / "pool.parquet")
    monkeypatch.setattr(opening, "build", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(UsageError, match="nope"):
        run(tmp_path / "pool.parquet", tmp_path / "out", **changes)


def test_all_rows_dropped_is_an_error_with_the_counts(write_rows: WriteRows, tmp_path: Path) -> None:
    rows = [question_row(n, correctness_math_verify=[False]) for n in range(3)]
    with pytest.raises(UsageError, match=r"no row can be selected \(wrong_answer 3\).*--verify off"):
        run(write_rows(rows), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_rows_than_there_are_takes_all_and_says_so(pool: Path, tmp_path: Path) -> None:
    settings = replace(SAFE, fraction=None, rows=1000)
    outcome = pipeline.select(
        PoolSettings(pools=(str(pool),)), ScoreSettings(difficulty="column:pass_rate"), settings, tmp_path / "out"
    )
    assert "1,000 rows were asked for, 5 could be taken" in outcome.notes


def test_verify_pool_needs_flags(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = write_rows([{"question": "What is 1 + 1?", "response": "2", "pass_rate": 0.5}])
    with pytest.raises(UsageError, match="no correctness flags"):
        run(pool, tmp_path / "out", replace(SAFE, verify="pool"))


def test_an_earlier_result_is_kept_unless_force(pool: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(pool, out)
    before = (out / "manifest.json").read_bytes()
    with pytest.raises(OutputError, match=r"exists.*--force"):
        run(pool, out, replace(SAFE, weight=0.9))
    assert (out / "manifest.json").read_bytes() == before
    settings = PoolSettings(pools=(str(pool),))
    pipeline.select(settings, ScoreSettings(), replace(SAFE, weight=0.9), out, force=True)
    assert json.loads((out / "manifest.json").read_text())["parameters"]["weight"] == 0.9
    assert [p.name for p in tmp_path.glob(".out*")] == []


def test_force_never_replaces_what_is_no_result(pool: Path, tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").write_text("long work")
    with pytest.raises(OutputError, match="no earlier selection"):
        pipeline.select(PoolSettings(pools=(str(pool),)), ScoreSettings(), SAFE, precious, force=True)
    assert (precious / "chapter1.tex").read_text() == "long work"


@pytest.mark.parametrize("name", ["", "data", "data/*.parquet", "data/../data", "../o*/data/*.parquet"])
def test_force_never_replaces_what_is_read(pool: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    run(pool, out)
    before = (out / "scores.parquet").read_bytes()
    with pytest.raises(OutputError, match="to be read; choose another --out"):
        pipeline.select(PoolSettings((str(out / name),)), ScoreSettings(), SAFE, out, force=True)
    assert (out / "scores.parquet").read_bytes() == before


def test_a_link_is_no_way_around_that(pool: Path, tmp_path: Path) -> None:
    run(pool, tmp_path / "out")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(OutputError, match="to be read"):
        pipeline.select(
            PoolSettings((str(tmp_path / "link" / "data"),)), ScoreSettings(), SAFE, tmp_path / "out", force=True
        )


def test_a_home_is_the_same_by_its_sign(pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run(pool, tmp_path / "out")
    with pytest.raises(OutputError, match="to be read"):
        pipeline.select(PoolSettings(("~/out/data",)), ScoreSettings(), SAFE, "~/out", force=True)


def test_a_place_that_is_taken_by_something_else_is_not_offered_to_be_replaced(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").touch()
    with pytest.raises(OutputError, match="no earlier selection") as refused:
        run(pool, tmp_path / "thesis")
    assert "--force" not in str(refused.value)


def test_a_cache_that_cannot_be_written_to_is_named(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(place: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(place))

    monkeypatch.setattr(cache, "part_file", refuse)
    with pytest.raises(
        OutputError, match=r"cannot write to the cache folder .*kept \(Read-only file system\).*--cache-dir"
    ):
        run(pool, tmp_path / "out", cache_dir=tmp_path / "kept")
    assert cache.cache_root(tmp_path / "kept") == tmp_path / "kept"  # which may still be looked at


# --- what is said ---------------------------------------------------------------------------------------------------


def test_a_file_named_twice_is_read_once_and_that_is_said(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = run(pool, tmp_path / "twice", pools=(str(pool), str(pool.parent / "*.jsonl"), str(pool)))
    assert capsys.readouterr().err.count(f"named more than once, read once: {pool}\n") == 1
    assert twice.equals(run(pool, tmp_path / "once"))
    (tmp_path / "link").symlink_to(pool.parent)
    around = run(pool, tmp_path / "around", pools=(str(pool), str(pool.parent / "link" / pool.name)))
    assert twice.equals(around)


def test_rows_set_aside_are_counted_where_they_are_seen(
    write_rows: WriteRows, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = write_rows([question_row(number) for number in range(30)])
    run(pool, tmp_path / "whole")
    assert "set aside" not in capsys.readouterr().err
    pool.write_bytes(pool.read_bytes() + b'{"problem": broken\n')
    run(pool, tmp_path / "out")
    assert f"set aside: 1 rows or generations that cannot be used (first: {pool} line 31: " in capsys.readouterr().err


def test_chosen_benchmark_problems_are_told_where_no_rule_leaves_them_out(
    write_rows: WriteRows, tmp_path: Path
) -> None:
    asked = "How many ways are there to put seven red and four green books on one shelf so that no two green ones meet?"
    pool = write_rows([question_row(1, problem=asked), *(question_row(number) for number in range(2, 9))])
    own = write_rows([{"question": asked}], "exam.jsonl")
    scores = ScoreSettings(difficulty="column:pass_rate", benchmark_files=(str(own),))
    paper = pipeline.select(PoolSettings((str(pool),)), scores, replace(PAPER, fraction=1.0), tmp_path / "paper")
    assert [note for note in paper.notes if note.startswith("1 of 8 chosen rows ask what a benchmark asks")]
    safe = pipeline.select(PoolSettings((str(pool),)), scores, replace(SAFE, fraction=1.0), tmp_path / "safe")
    assert safe.counts["contaminated"] == 1
    assert not [note for note in safe.notes if "ask what a benchmark asks" in note]


@pytest.mark.parametrize(("strategy", "told"), [("diverse", True), ("random", False)])
def test_diverse_says_where_there_is_nothing_to_tell_apart(
    write_rows: WriteRows, tmp_path: Path, strategy: Any, told: bool
) -> None:
    pool = write_rows(
        [{"question": f"What is {n} + 1?", "response": f"<think>add {n}</think>{n + 1}"} for n in range(9)]
    )
    chosen = replace(PAPER, strategy=strategy, fraction=0.5)
    outcome = pipeline.select(PoolSettings((str(pool),)), ScoreSettings(), chosen, tmp_path / "out")
    assert ("the pool has no categories, so diverse draws as random does" in outcome.notes) is told


@pytest.mark.parametrize(("fraction", "size"), [(0.1, "0.1"), ("10%", "0.1"), (1, "1"), (Decimal("0.10"), "0.10")])
def test_a_fraction_is_what_it_says(fraction: Any, size: str) -> None:
    assert str(replace(SAFE, fraction=fraction).size["fraction"]) == size


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, float("nan"), "a tenth", True])
def test_what_is_no_fraction_is_refused(fraction: Any) -> None:
    with pytest.raises(UsageError, match="fraction must be above 0 and at most 1"):
        _ = replace(SAFE, fraction=fraction).size


def test_plain_values_do_from_python(pool: Path, tmp_path: Path) -> None:
    settings = PoolSettings(str(pool))  # type: ignore[arg-type]
    outcome = pipeline.select(settings, ScoreSettings(), replace(SAFE, fraction=0.1), str(tmp_path / "out"))
    assert outcome.out == tmp_path / "out"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["parameters"]["fraction"] == "0.1"
    assert "Made from Python" in (tmp_path / "out" / "README.md").read_text()
    assert data(tmp_path / "out").height == outcome.selected
