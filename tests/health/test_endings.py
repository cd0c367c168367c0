"""Ends in mid-sentence, the ceiling that explains them, damaged tags, replies that run on."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from select2reason.health.endings import at_ceiling, ceilings, damaged_tags, runs_on, unfinished


@pytest.mark.parametrize(
    ("text", "open_ended"),
    [
        ("so we get x = ", True),
        ("and then the", True),
        ("2 +", True),
        ("a, b,", True),
        ("It is 4.", False),
        ("It is \\boxed{4}", False),
        ("所以答案是四。", False),
        ("**4**", False),
        ("It is $4$ \n\n", False),
        ("</think>", False),
        ("", False),
        ("  \n", False),
    ],
)
def test_unfinished(text: str, open_ended: bool) -> None:
    assert pl.DataFrame({"t": [text]}).select(unfinished(pl.col("t"))).item() is open_ended


@pytest.mark.parametrize(
    ("head", "trace", "tail", "damaged"),
    [
        ("<think>\n", "x", "\n</think>\n\n4", False),
        ("", "x", "</think>4", False),
        ("", "no tags", "", False),
        ("<think>", "x <think> y", "</think>4", True),
        ("<think>", "x", "</think> 4 <think> again </think> 5", True),
        ("<think><think>", "x", "</think>4", True),
        ("<|begin_of_thought|>", "x", "<|end_of_thought|>4", False),
        ("<think>", "x <|im_end|>\n<|im_start|>user\nAnother", "</think>4", True),
        ("<think>", "x", "</think>4<|im_end|>\n", False),  # the end of the turn, where it belongs
        ("<think>", "x", "</think>4<|im_end|>\n<|im_start|>user", True),
    ],
)
def test_damaged_tags(head: str, trace: str, tail: str, damaged: bool) -> None:
    frame = pl.DataFrame({"h": [head], "t": [trace], "a": [tail]})
    assert frame.select(damaged_tags(pl.col("h"), pl.col("t"), pl.col("a"))).item() is damaged


@pytest.mark.parametrize(
    ("reply", "on"),
    [
        ("It is \\boxed{4}.", False),
        ("It is \\boxed{4}. " + "And more of it. " * 20, False),
        ("It is \\boxed{4}. " + "And more of it. " * 200, True),
        ("It is \\boxed{4}. " + "And more of it. " * 200 + "\\boxed{4}", False),
        ("It is \\boxed{4}.\n\nQuestion: what is 3 + 3?\nIt is 6.", True),
        ("No box at all. " * 200, False),
        ("\\boxed{4}" + "x" * 991, False),
        ("\\boxed{4}" + "x" * 993, True),
        ("\\fbox{4}" + "x" * 993, True),
        ("\\boxed 4 " + "x" * 992, True),
        ("\\boxed{4}" + "x" * 1_400 + ", as boxed above.", True),
    ],
)
def test_runs_on(reply: str, on: bool) -> None:
    assert pl.DataFrame({"r": [reply]}).select(runs_on(pl.col("r"))).item() is on


def pool(*limits: int, rows: int = 3_000, stopped: float = 0.05) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Lengths of responses of which some were stopped at a limit, less a prompt; a few others end oddly too."""
    rng = np.random.default_rng(0)
    tokens = np.exp(rng.normal(7.5, 0.8, rows)).astype(np.int64)
    odd = rng.random(rows) < 0.01
    for limit in limits:
        at = rng.random(rows) < stopped
        tokens[at], odd[at] = limit - rng.integers(20, limit // 50, int(at.sum())), True
    return tokens, odd


def test_a_ceiling_is_found_from_the_lengths() -> None:
    tokens, odd = pool(16_384)
    found = ceilings(tokens, odd)
    assert len(found) == 1
    assert 0.97 * 16_384 < found[0].top <= 16_384
    stopped = pl.DataFrame({"tokens": tokens}).select(at_ceiling(pl.col("tokens"), found)).to_series().to_numpy()
    assert stopped[odd & (tokens > 15_900)].all()
    assert not stopped[tokens < 15_000].any()


def test_two_ceilings_and_none() -> None:
    assert [round(one.top, -3) for one in ceilings(*pool(32_768, 8_192))] == [33_000, 8_000]
    assert ceilings(*pool()) == []
    assert ceilings(np.zeros(0, np.int64), np.zeros(0, np.bool_)) == []


def test_long_prompts_blur_a_ceiling_and_do_not_hide_it() -> None:
    tokens, odd = pool()
    stopped = np.random.default_rng(1).random(len(tokens)) < 0.1
    tokens[stopped] = 4_096 - np.random.default_rng(2).integers(200, 600, int(stopped.sum()))
    (one,) = ceilings(tokens, odd | stopped)
    assert one.low < 3_500 < 3_850 < one.top <= 4_096


def test_where_all_end_without_a_stop_no_length_is_a_ceiling() -> None:
    """As in a pool whose responses end in the letter of a choice."""
    for seed in range(20):
        tokens = np.exp(np.random.default_rng(seed).normal(7.5, 0.8, 800)).astype(np.int64)
        assert ceilings(tokens, np.ones_like(tokens, np.bool_)) == []


def test_odd_ends_here_and_there_are_no_ceiling() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        tokens = np.exp(rng.normal(7.5, 0.8, 2_000)).astype(np.int64)
        assert ceilings(tokens, rng.random(2_000) < 0.05) == []


def test_a_pile_of_whole_responses_is_no_ceiling() -> None:
    tokens, odd = pool(16_384)
    assert ceilings(tokens, np.zeros_like(odd)) == []


def test_without_a_ceiling_no_row_is_at_one() -> None:
    assert pl.DataFrame({"tokens": [5, 9]}).select(s=at_ceiling(pl.col("tokens"), []))["s"].to_list() == [False]
