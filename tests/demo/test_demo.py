"""The demo pool: reproducible, right where it says so, and broken exactly where it was meant to be."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import pytest

from select2reason.demo import DemoCounts, Line, draw_lines, make_demo_pool
from select2reason.demo.generations import Generation, Kind

EXAMPLES = 2000
BOXED = re.compile(r"\\boxed\{(-?\d+)\}\$\.$")
RETHINKING = re.compile(r"\b(wait|alternatively|maybe|however)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoCounts, list[dict[str, Any]]]:
    path = tmp_path_factory.mktemp("demo") / "pool.jsonl"
    counts = make_demo_pool(path, examples=EXAMPLES)
    return counts, [orjson.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    return draw_lines(700, seed=1)


@pytest.fixture(scope="module")
def by_kind(lines: list[Line]) -> dict[Kind, list[Generation]]:
    everything = [generation for line in lines for generation in line.generations]
    return {kind: [each for each in everything if each.kind is kind] for kind in Kind}


# --- reproducible ---------------------------------------------------------------------------------------------------


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        make_demo_pool(tmp_path / name, examples=120, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize("examples", [0, 1, 10, 60])
def test_a_pool_of_any_size(tmp_path: Path, examples: int) -> None:
    assert make_demo_pool(tmp_path / "pool.jsonl", examples=examples).examples == examples


# --- the file -------------------------------------------------------------------------------------------------------


def test_counts(made: tuple[DemoCounts, list[dict[str, Any]]]) -> None:
    counts, records = made
    assert counts.examples == EXAMPLES == sum(len(record["generations"]) for record in records)
    assert counts.lines == len(records) == counts.questions + counts.kinds[Kind.DUPLICATE]
    assert counts.questions == len({record["problem"] for record in records})
    share = {kind: number / EXAMPLES for kind, number in counts.kinds.items()}
    assert share[Kind.LOOP_VERBATIM] + share[Kind.LOOP_COUNTING] == pytest.approx(0.06)
    assert share[Kind.CUT_OFF] == pytest.approx(0.05)
    assert share[Kind.WRONG_ANSWER] == pytest.approx(0.08)
    assert share[Kind.DUPLICATE] == pytest.approx(0.02)
    assert share[Kind.NO_TRACE] == pytest.approx(0.01)
    assert min(share.values()) > 0


def test_layout(made: tuple[DemoCounts, list[dict[str, Any]]]) -> None:
    _, records = made
    lists = ["generations", "correctness_math_verify", "finish_reasons", "is_reasoning_complete"]
    for record in records:
        assert list(record) == ["uuid", "problem", "answer", "problem_type", "source", *lists]
        assert {len(record[name]) for name in lists} <= {1, 2, 3, 4}
        assert len({len(record[name]) for name in lists}) == 1
        assert record["source"] == "select2reason-demo"
    assert len({record["uuid"] for record in records}) == len(records)
    assert len({record["problem_type"] for record in records}) >= 5


def test_flags_tell_the_truth(made: tuple[DemoCounts, list[dict[str, Any]]]) -> None:
    _, records = made
    for record in records:
        for response, correct, finish, complete in zip(
            record["generations"],
            record["correctness_math_verify"],
            record["finish_reasons"],
            record["is_reasoning_complete"],
            strict=True,
        ):
            boxed = BOXED.search(response)
            assert correct == (boxed is not None and boxed[1] == record["answer"])
            assert complete == ("</think>" in response)
            assert finish == ("stop" if complete else "length")


def test_no_choice_is_left_open(made: tuple[DemoCounts, list[dict[str, Any]]]) -> None:
    _, records = made
    for record in records:
        for text in (record["problem"], *record["generations"]):
            assert not re.search(r"[\[\]\x00]|\{k\}|  ", text), text[:200]


def test_length_has_a_long_tail(made: tuple[DemoCounts, list[dict[str, Any]]]) -> None:
    _, records = made
    words = sorted(response.count(" ") for record in records for response in record["generations"])
    assert words[len(words) // 10] < 120
    assert words[-10] > 7000
    assert 0.005 < sum(n > 8000 for n in words) / len(words) < 0.03


def test_rethinking_grows_with_length(by_kind: dict[Kind, list[Generation]]) -> None:
    traces = sorted((each.response for each in by_kind[Kind.SOUND]), key=len)
    third = len(traces) // 3
    short, long = (
        median(len(RETHINKING.findall(trace)) for trace in part) for part in (traces[:third], traces[-third:])
    )
    assert long > 3 * short


# --- the flaws ------------------------------------------------------------------------------------------------------


def steps_of(generation: Generation) -> list[str]:
    return generation.response.removeprefix("<think>\n").split("\n</think>")[0].split("\n\n")


def repeated(steps: list[str]) -> float:
    return 1 - len(set(steps)) / len(steps)


def test_sound_traces_repeat_nothing_and_end_in_an_answer(by_kind: dict[Kind, list[Generation]]) -> None:
    for each in by_kind[Kind.SOUND]:
        assert repeated(steps_of(each)) < 0.03
        assert each.complete
        assert BOXED.search(each.response)


def test_verbatim_loops(by_kind: dict[Kind, list[Generation]]) -> None:
    assert all(repeated(steps_of(each)) > 0.5 for each in by_kind[Kind.LOOP_VERBATIM])


def test_counting_loops_hide_from_an_exact_comparison(by_kind: dict[Kind, list[Generation]]) -> None:
    for each in by_kind[Kind.LOOP_COUNTING]:
        steps = steps_of(each)
        assert repeated(steps) < 0.05
        masked = [re.sub(r"\d+", "0", step) for step in steps]
        assert Counter(masked).most_common(1)[0][1] > 0.4 * len(steps)


def test_loops_are_long_and_mostly_never_end(by_kind: dict[Kind, list[Generation]]) -> None:
    loops = by_kind[Kind.LOOP_VERBATIM] + by_kind[Kind.LOOP_COUNTING]
    assert all(each.response.count(" ") > 500 for each in loops)
    assert 0.6 < sum(not each.complete for each in loops) / len(loops) < 1


def test_cut_off(by_kind: dict[Kind, list[Generation]]) -> None:
    for each in by_kind[Kind.CUT_OFF]:
        assert each.response.startswith("<think>\n")
        assert "</think>" not in each.response
        assert each.finish_reason == "length"


def test_no_trace(by_kind: dict[Kind, list[Generation]]) -> None:
    assert all(each.response.startswith("<think>\n\n</think>\n\n") for each in by_kind[Kind.NO_TRACE])


def test_no_answer(by_kind: dict[Kind, list[Generation]]) -> None:
    for each in by_kind[Kind.NO_ANSWER]:
        assert not re.search(r"\d|boxed", each.response.split("</think>")[1])


def test_language_switch(by_kind: dict[Kind, list[Generation]]) -> None:
    chinese = re.compile(r"[一-鿿]")
    assert all(len(chinese.findall(each.response)) > 80 for each in by_kind[Kind.LANGUAGE_SWITCH])
    assert not any(chinese.search(each.response) for each in by_kind[Kind.SOUND])


def test_duplicates_stand_on_a_line_of_their_own(lines: list[Line]) -> None:
    sound = {(line.question, each.response) for line in lines for each in line.generations if each.kind is Kind.SOUND}
    copies = [line for line in lines if line.generations[0].kind is Kind.DUPLICATE]
    assert copies
    for line in copies:
        (copy,) = line.generations
        assert (line.question, copy.response) in sound
