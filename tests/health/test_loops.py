"""Loops, against the plain definition run by run, on planted ones, and on real traces that loop or do not."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from select2reason.demo import draw_lines
from select2reason.demo.generations import Kind
from select2reason.health import loops
from select2reason.health.loops import LOOPING, RUN_TOKENS, STUCK, WINDOW_TOKENS, find_loops, number_tokens
from select2reason.tags import split_response
from select2reason.tokens import Encoded, load_tokenizer

TOKENIZER = load_tokenizer()
NUMBERS = number_tokens(TOKENIZER)


def shares(texts: list[str]) -> list[float]:
    return [float(share) for share in find_loops(TOKENIZER.encode(pl.Series(texts, dtype=pl.String)), NUMBERS).share]


def by_definition(ids: list[int]) -> tuple[float, int]:
    """Share and start of the stuck tokens, with numbers in."""
    seen: set[tuple[int, ...]] = set()
    old = []
    for place in range(len(ids) - RUN_TOKENS + 1):
        run = tuple(ids[place : place + RUN_TOKENS])
        old.append(run in seen)
        seen.add(run)
    windows = [sum(old[end - WINDOW_TOKENS : end]) for end in range(WINDOW_TOKENS, len(old) + 1)]
    stuck = [place + WINDOW_TOKENS - 1 for place, count in enumerate(windows) if count >= STUCK * WINDOW_TOKENS]
    return (len(stuck) / len(ids), stuck[0]) if stuck else (0.0, -1)


@pytest.mark.parametrize("period", range(1, 20))
def test_a_loop_of_any_length_is_found_wherever_its_runs_fall(period: int) -> None:
    rng = np.random.default_rng(period)
    rows = []
    for _ in range(40):
        loop = np.tile(rng.integers(1_000, 50_000, period), 900 // period)
        rows.append(np.concatenate([rng.integers(1_000, 50_000, 900), loop]).astype(np.uint32))
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    found = find_loops(Encoded(np.concatenate(rows), offsets), np.zeros(1, np.bool_))
    assert [round(float(share), 6) for share in found.share] == [
        round(by_definition(row.tolist())[0], 6) for row in rows
    ]
    assert found.share.min() > LOOPING


IDS = st.lists(
    st.one_of(
        st.lists(st.integers(100, 130), min_size=1, max_size=40),
        st.tuples(st.lists(st.integers(100, 10_000), min_size=1, max_size=30), st.integers(1, 30)).map(
            lambda pair: pair[0] * pair[1]
        ),
    ),
    max_size=12,
).map(lambda parts: [token for part in parts for token in part])


@settings(max_examples=150, deadline=None)
@given(st.lists(IDS, min_size=1, max_size=4))
def test_any_ids_are_judged_as_the_definition_says(rows: list[list[int]]) -> None:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    encoded = Encoded(np.array([token for row in rows for token in row], np.uint32), offsets)
    found = find_loops(encoded, np.zeros(1, np.bool_))  # no token is a number
    for row, share, start in zip(rows, found.share, found.start, strict=True):
        expected, first = by_definition(row)
        if share > expected + 1e-6 or (share == 0 and expected < LOOPING):
            continue  # the look at longer runs, which here is one of all tokens, found more; or the quick look, none
        assert float(share) == pytest.approx(expected)
        assert int(start) == first


def test_many_rows_are_judged_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    loop = np.tile(rng.integers(0, 50_000, 40), 60)
    rows = [rng.integers(0, 50_000, 900), loop, np.zeros(0, np.int64), rng.integers(0, 50_000, 300), loop[:500]]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    encoded = Encoded(np.concatenate(rows).astype(np.uint32), offsets)
    whole = find_loops(encoded, NUMBERS)
    monkeypatch.setattr(loops, "_CHUNK_TOKENS", 1_000)
    assert find_loops(encoded, NUMBERS).share.tolist() == whole.share.tolist()
    assert (whole.share > LOOPING).tolist() == [False, True, False, False, True]
    assert whole.start[1] == pytest.approx(40 + STUCK * WINDOW_TOKENS + RUN_TOKENS, abs=WINDOW_TOKENS)


def test_what_repeats_in_another_trace_is_new() -> None:
    text = " ".join(f"word{Random(k).randrange(10**6)}" for k in range(400))
    assert shares([text] * 3) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "sentence",
    [
        "Wait, maybe I should check the case {k} again. In case {k} the numbers are as before, so it does not help.",
        "But hold on, is {k} really excluded? Let me suppose that it is {k} and see whether anything follows from it.",
        "Let me ask {name} once more, because the last time I did not write down what the answer to this question was.",
    ],
)
def test_a_counter_or_a_name_does_not_hide_a_loop(sentence: str) -> None:
    names = ["Alice", "Bob", "Carol", "Dmitri", "Eve", "Farid", "Grace", "Hugo", "Ines", "Jorge"]
    rng = Random(0)
    text = "\n\n".join(sentence.format(k=rng.randrange(5_000), name=rng.choice(names)) for _ in range(80))
    assert shares([text])[0] > LOOPING


def test_case_after_case_that_comes_to_an_end_is_no_loop() -> None:
    """A loop that only counts: it counts where the trace ends in it, and not once it goes on."""
    rng = Random(0)

    def fresh(words: int) -> str:
        return " ".join("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(words))

    cases = " ".join(f"For n = {k} we find no whole number that would do, so on." for k in range(2, 100))
    ended, endless = shares([f"{fresh(150)} {cases} {fresh(30)}", f"{fresh(150)} {cases}"])
    assert ended < LOOPING < endless


def test_the_demo_s_loops_are_found_and_its_sound_traces_are_not() -> None:
    made = [each for line in draw_lines(600, seed=3) for each in line.generations]
    traces = split_response(pl.Series([each.response for each in made]))["trace"]
    found = np.array(shares(traces.to_list())) > LOOPING
    loop = np.array([each.kind in (Kind.LOOP_VERBATIM, Kind.LOOP_COUNTING) for each in made])
    assert found[loop].mean() > 0.95
    assert found[~loop].mean() < 0.01


def test_numbers_are_known() -> None:
    told = TOKENIZER.encode(pl.Series(["7", "x", "12"]))
    assert NUMBERS.take(told.ids, mode="clip").tolist() == [True, False, True, True]


def test_real_traces(shared: Path) -> None:
    traces = shared / "data" / "traces"
    sky = pl.read_parquet(traces / "skyt1_math_traces.parquet").select(
        trace=pl.col("code").list.first(), right=pl.col("score").list.first()
    )
    found, right = np.array(shares(sky["trace"].to_list())) > LOOPING, sky["right"].to_numpy()
    assert found.mean() >= 0.2
    assert right[found].mean() <= 0.06
    assert right[~found].mean() >= right.mean() + 0.1
    limo = pl.read_parquet(traces / "limo_r1_distill_qwen32b.parquet")["solution"]
    assert (np.array(shares(limo.to_list())) > LOOPING).mean() < 0.03
