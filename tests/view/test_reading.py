"""One example as it is read: steps, their tokens, repeats, loops, pages."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from select2reason import pipeline
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings
from select2reason.view import Explored, explore
from select2reason.view.reading import PAGE_CHARS, Reader

from ..conftest import WriteRows
from .conftest import LONG, Looked


def opened(path: Path, folder: Path) -> Explored:
    settings = SelectSettings(rows=1, preset="paper")
    pipeline.select(PoolSettings((str(path),), cache_dir=folder / "c"), ScoreSettings(), settings, folder / "s")
    return explore(folder / "s", folder / "c")


def test_steps_are_paragraphs_with_their_tokens_and_repeats(write_rows: WriteRows, tmp_path: Path) -> None:
    steps = ["Let x be 3.", "Wait, x is 4.", "Let x be 3.", "  Let x be 3.  ", "So it is 4."]
    response = "<think>\n" + "\n\n".join(steps) + "\n</think>\n\nIt is \\boxed{4}."
    explored = opened(write_rows([{"question": "What is x?", "response": response, "answer": "4"}]), tmp_path)
    example = Reader(explored.pool, "builtin").read(0)
    shown, total = example.page()
    assert total == 5
    assert ["".join(p.source for p in step.text.pieces).strip() for step in shown] == [one.strip() for one in steps]
    assert [step.repeats for step in shown] == [False, False, True, True, False]
    assert not any(step.loops for step in shown)
    assert [[p.source for p in step.text.pieces if p.kind == "rethinking"] for step in shown] == [
        [],
        ["Wait"],
        [],
        [],
        [],
    ]
    counted = pl.read_parquet(tmp_path / "s" / "scores.parquet")["trace_tokens_raw"][0]
    assert sum(step.tokens or 0 for step in shown) == counted


def test_steps_that_go_on_saying_the_same_are_loops(write_rows: WriteRows, tmp_path: Path) -> None:
    sound = [f"First we look at the number {i} and its square {i * i}, which is what we want." for i in range(12)]
    stuck = [f"Hmm, let me check case {i} again: it does not fit, so I have to try the next one." for i in range(200)]
    trace = "\n\n".join([*sound, *stuck])
    explored = opened(write_rows([{"question": "q", "response": f"<think>\n{trace}\n</think>\n\n1"}]), tmp_path)
    shown, _ = Reader(explored.pool, "builtin").read(0).page()
    loops = [step.loops for step in shown]
    assert not any(loops[:12])
    assert all(loops[60:])


def test_tokens_of_real_steps_add_up(real_traces: Looked) -> None:
    explored = real_traces.open()
    raw = pl.read_parquet(real_traces.folder / "scores.parquet")["trace_tokens_raw"]
    reader = Reader(explored.pool, "builtin")
    for row in range(0, explored.pool.rows, 40):
        tokens = reader.read(row).steps["tokens"].sum()
        assert abs(tokens - raw[row]) <= 0.002 * raw[row] + 2  # a cut before white space may cost a token


def test_without_its_tokenizer_an_example_is_read_all_the_same(demo: Looked) -> None:
    explored = demo.open()
    shown, _ = Reader(explored.pool, "/nowhere/tokenizer.json").read(3).page()
    assert shown
    assert {step.tokens for step in shown} == {None}


def test_a_huge_trace_comes_in_pages_and_its_cuts_are_stated(hostile: Looked) -> None:
    explored = hostile.open()
    reader = Reader(explored.pool, "builtin")
    raw = pl.read_parquet(hostile.folder / "scores.parquet")["trace_tokens_raw"]
    huge = next(row for row in range(explored.pool.rows) if raw[row] > LONG / 10)
    (step,), total = reader.read(huge).page()
    assert total == 1
    assert sum(len(piece.source) for piece in step.text.pieces) + step.text.left_out > LONG - 100
    steps = next(row for row in range(explored.pool.rows) if reader.read(row).steps.height == 1_000)
    first, seen = 0, 0
    while first < 1_000:
        page, total = reader.read(steps).page(first)
        assert page[0].number == first + 1
        assert sum(len(piece.source) for step in page for piece in step.text.pieces) <= PAGE_CHARS
        first += len(page)
        seen += 1
    assert first == total == 1_000
    assert seen > 1
