"""Scoring over shards: order, restart, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import pytest

from select2reason import building, layouts, readers, sources
from select2reason.errors import RunError
from select2reason.pool import Pool
from select2reason.scoring import ScorerSpec, Scoring, local, read_scores, score
from select2reason.scoring.base import missing_shards, shard_path

from .conftest import WriteRows


@dataclass
class Lengths:
    """Scores a question by its length; later batches are quicker than earlier ones."""

    seen: list[int] = field(default_factory=list)
    slow: bool = False
    closed: int = 0

    def score(self, batch: pl.DataFrame) -> pl.DataFrame:
        self.seen.append(batch.height)
        if self.slow:
            time.sleep(0.03 / len(self.seen))
        return batch.select(score=pl.col("question").str.len_chars())

    def close(self) -> None:
        self.closed += 1


def spec(scorer: Lengths, *, threads: int = 1, make: Callable[[], Lengths] | None = None) -> ScorerSpec:
    return ScorerSpec("lengths", "v1", ("question",), {"score": pl.UInt32}, make or (lambda: scorer), threads)


def built(
    write_rows: WriteRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watchers: Sequence[Scoring] = ()
) -> Pool:
    """30 rows in 3 shards of 4 row groups (of at most 3 rows)."""
    monkeypatch.setattr(building, "_SHARD_ROWS", 10)
    monkeypatch.setattr(building, "_BATCH_ROWS", 3)
    file = sources.find_files(str(write_rows([{"question": "q" * (n + 1), "response": "r"} for n in range(30)])))[0]
    layouts_of = {file.label: layouts.detect(readers.probe(file).frame)}
    out = tmp_path / "built"
    return building.build([file], layouts_of, out, digest="d", progress=lambda done: None, watchers=watchers)


@pytest.fixture
def pool(write_rows: WriteRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    return built(write_rows, tmp_path, monkeypatch)


@pytest.mark.parametrize("threads", [1, 3])
def test_scores_come_in_pool_order(pool: Pool, threads: int) -> None:
    score(pool, spec(Lengths(slow=True), threads=threads))
    assert read_scores(pool, spec(Lengths()))["score"].to_list() == list(range(1, 31))


def test_progress_is_told_every_row(pool: Pool) -> None:
    told: list[int] = []
    scorer = Lengths()
    score(pool, spec(scorer), progress=told.append)
    assert sum(told) == 30
    assert scorer.closed == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_a_pool_is_scored_while_it_is_built(
    write_rows: WriteRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    beside = spec(Lengths(slow=True), threads=threads)
    with Scoring(beside) as scoring:
        pool = built(write_rows, tmp_path, monkeypatch, [scoring])
    assert missing_shards(pool, beside) == []
    assert read_scores(pool, beside)["score"].to_list() == list(range(1, 31))


def test_a_scorer_that_fails_while_the_pool_is_built_leaves_nothing(
    write_rows: WriteRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Lengths):
        def score(self, batch: pl.DataFrame) -> pl.DataFrame:
            raise MemoryError

    with pytest.raises(MemoryError), Scoring(spec(Failing())) as scoring:
        built(write_rows, tmp_path, monkeypatch, [scoring])
    assert list(tmp_path.glob("built*")) == []


def test_only_missing_shards_are_scored(pool: Pool) -> None:
    score(pool, spec(Lengths()))
    shard_path(spec(Lengths()).folder(pool.root), 1).unlink()
    again = Lengths()
    score(pool, spec(again))
    assert sum(again.seen) == 10
    assert read_scores(pool, spec(again)).height == 30


def test_a_scorer_is_not_even_made_where_nothing_is_left(pool: Pool) -> None:
    score(pool, spec(Lengths()))
    score(pool, spec(Lengths(), make=lambda: pytest.fail("made")))


def test_a_scorer_that_fails_leaves_the_finished_shards(pool: Pool) -> None:
    class Failing(Lengths):
        def score(self, batch: pl.DataFrame) -> pl.DataFrame:
            if sum(self.seen) >= 10:
                raise MemoryError
            return super().score(batch)

    failing = Failing()
    with pytest.raises(MemoryError):
        score(pool, spec(failing))
    assert failing.closed == 1
    assert [path.name for path in sorted(spec(Lengths()).folder(pool.root).iterdir())] == ["00000.parquet"]


def test_a_scorer_that_loses_rows_is_a_defect(pool: Pool) -> None:
    class Losing(Lengths):
        def score(self, batch: pl.DataFrame) -> pl.DataFrame:
            return super().score(batch).head(1)

    with pytest.raises(AssertionError, match="gave 1 scores for 3 rows"):
        score(pool, spec(Losing()))


def test_missing_scores_are_refused(pool: Pool) -> None:
    with pytest.raises(RunError, match="3 of 3 shards of lengths are missing"):
        read_scores(pool, spec(Lengths()))


@pytest.mark.parametrize("content", [b"", b"PAR1 torn"])
def test_a_torn_shard_is_one_clear_line(pool: Pool, content: bytes) -> None:
    score(pool, spec(Lengths()))
    shard_path(spec(Lengths()).folder(pool.root), 1).write_bytes(content)
    with pytest.raises(RunError, match=r"is damaged .*cache --clear"):
        read_scores(pool, spec(Lengths()))
    (pool.root / "text-00000.arrow").write_bytes(content)
    with pytest.raises(RunError, match=r"is damaged .*cache --clear"):
        list(pool.batches(["question"], shard=0))


def test_scores_of_another_shape_are_refused(pool: Pool) -> None:
    score(pool, spec(Lengths()))
    pl.DataFrame({"score": [1]}).write_parquet(shard_path(spec(Lengths()).folder(pool.root), 2))
    with pytest.raises(RunError, match="does not fit the pool"):
        read_scores(pool, spec(Lengths()))


def test_small_batches_are_put_together_within_a_shard(pool: Pool) -> None:
    scorer = Lengths()
    together = replace(spec(scorer), batch_rows=7)
    score(pool, together)
    assert scorer.seen == [9, 1] * 3  # row groups of 3, 3, 3 and 1 in each of 3 shards
    assert read_scores(pool, together)["score"].to_list() == list(range(1, 31))


def test_large_batches_are_not_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_HELD_BYTES", 300)
    scorer = Lengths()
    with Scoring(replace(spec(scorer), batch_rows=100)) as scoring:
        for _ in range(5):
            scoring.add(pl.DataFrame({"question": ["q" * 100] * 2, "head": [""] * 2}))
        scoring.finish(tmp_path, 0)
        scoring.drain()
    assert scorer.seen == [4, 4, 2]
