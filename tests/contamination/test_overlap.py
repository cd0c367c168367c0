"""Benchmark problems planted in a pool: verbatim, edited, with other numbers; and what is none of them."""

from __future__ import annotations

import random
import re
from pathlib import Path

import polars as pl
import pytest

from select2reason import wording
from select2reason.contamination import evidence, find_hits, joined, load_prints, make_prints
from select2reason.contamination.overlap import OTHER_NUMBERS, SAME

PROBLEMS = [
    r"Every morning Ada walks $9$ kilometres and stops at a bakery. At $s$ kilometres an hour the walk takes her $4$"
    r" hours, with $t$ minutes in the bakery. How long does it take at $s+\frac{1}{2}$ kilometres an hour?",
    r"Let $a$ and $b$ be positive integers with $a^2 - 6b = 125$. Find the smallest possible value of $a + b$.",
    "已知函数在区间上单调递增，且图象关于点对称，求满足不等式的实数的取值范围。其中最大值为 12。",
    "Evaluate $\\log_8 2$.",
]
MINE = make_prints({"mine": PROBLEMS})


def kinds(*questions: str) -> list[str | None]:
    hits = find_hits(pl.Series(questions, dtype=pl.String), MINE)
    return hits.list.first().struct.field("kind").to_list()


def test_every_problem_is_itself() -> None:
    hits = find_hits(pl.Series(PROBLEMS), MINE)
    assert hits.list.first().struct.field("problem").to_list() == [0, 1, 2, 3]
    assert kinds(*PROBLEMS) == [SAME] * 4


@pytest.mark.parametrize("problem", PROBLEMS[:3])
def test_however_long_the_text_around_it(problem: str) -> None:
    around = "Solve the task that follows, and explain every step as you would to a class of beginners. "
    assert kinds(f"{around}{problem} Let's think step by step and output the final answer within \\boxed{{}}.") == [
        SAME
    ]


def test_light_edits_do_not_hide_it() -> None:
    edited = (
        "EVERY MORNING Ada walks \\( 9 \\) kilometres; she then rests for a while in a bakery. At \\( s \\) kilometres"
        " an hour the walk takes her \\( 4 \\) hours, with \\( t \\) minutes in the bakery. How long does it take at"
        " \\( s + \\dfrac12 \\) kilometres an hour"
    )
    assert kinds(
        edited, "Let a, b be positive integers such that a^2-6b=125. find the smallest possible value of a+b"
    ) == [
        SAME,
        SAME,
    ]


def test_other_numbers_are_told_apart() -> None:
    others = [re.sub(r"\d+", lambda m: str(int(m[0]) + 3), problem) for problem in PROBLEMS[:3]]
    assert kinds(*others) == [OTHER_NUMBERS] * 3


def test_other_problems_are_none() -> None:
    assert (
        kinds(
            "Let $a$ and $b$ be real numbers. Find the largest possible value of $a - b$.",
            "Evaluate $\\sin 30^\\circ + 5$.",
            "Every evening Bob drives 90 miles and stops at a cinema.",
            "",
            "x",
        )
        == [None] * 5
    )


def test_evidence_names_each_hit() -> None:
    hits = find_hits(pl.Series(["x", PROBLEMS[1], PROBLEMS[0]]), MINE)
    found = evidence(hits, MINE)
    assert found.select("row", "kind", "benchmark", "problem").rows() == [(1, SAME, "mine", 1), (2, SAME, "mine", 0)]
    assert found["overlap"].to_list() == [1.0, 1.0]
    assert found["numbers"].to_list() == [1.0, 1.0]


def test_no_question_and_no_problem() -> None:
    assert find_hits(pl.Series([], dtype=pl.String), MINE).to_list() == []
    nothing = make_prints({})
    assert find_hits(pl.Series(["x", None]), nothing).to_list() == [[], []]
    assert evidence(find_hits(pl.Series(["x"]), nothing), nothing).height == 0


def test_prints_hold_no_text_and_have_a_name_of_their_own() -> None:
    assert [name for name, dtype in MINE.problems.schema.items() if dtype == pl.String] == ["benchmark"]
    assert make_prints({"mine": PROBLEMS}).digest == MINE.digest != make_prints({"mine": PROBLEMS[:3]}).digest


def test_prints_of_many_problems_are_made_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "AT_ONCE", 3)
    assert make_prints({"mine": PROBLEMS, "none": []}).problems.equals(MINE.problems)


def test_own_benchmarks_join_the_bundled_ones() -> None:
    both = joined(load_prints(), MINE)
    assert both.problems["benchmark"].n_unique() == load_prints().problems["benchmark"].n_unique() + 1
    beside = joined(load_prints(), make_prints({"aime24": PROBLEMS})).problems["benchmark"]
    assert (beside == "aime24").sum() == 30  # a file's name replaces nothing
    assert (beside == "aime24 (own)").sum() == len(PROBLEMS)


def test_copies_of_a_problem_do_not_make_its_words_common() -> None:
    many = make_prints({"averaged": PROBLEMS * 32})
    assert find_hits(pl.Series(PROBLEMS), many).list.first().struct.field("kind").to_list() == [SAME] * 4


@pytest.mark.parametrize(
    "prompt",
    [
        "You are a helpful tutor. Solve step by step: {}",
        "Please solve this step by step: {}",
        "Solve the following math problem step by step.\n\n{}",
        "{} Think step by step, and put your final answer within \\boxed{{}}.",
    ],
)
def test_what_a_prompt_adds_does_not_hide_it(prompt: str) -> None:
    assert kinds(*(prompt.format(problem) for problem in PROBLEMS[:3])) == [SAME] * 3


def test_the_bundled_benchmarks() -> None:
    counts = dict(load_prints().problems.group_by("benchmark").len().iter_rows())
    expected = {"aime24": 30, "aime25": 30, "amc23": 40, "math500": 500, "olympiadbench": 675, "gaokao2023en": 385}
    assert expected.items() <= counts.items()
    assert {"gaokao2024", "gaokao_math_qa", "kaoyan", "mmlu_pro"} <= counts.keys()


FILES = {
    "aime24": "problem",
    "aime25": "question",
    "math500": "problem",
    "olympiadbench": "question",
    "kaoyan": "problem",
}


def reworded(text: str, draw: random.Random) -> str:
    """Six plain words in a row become six others."""
    parts = text.split(" ")
    plain = [bool(re.fullmatch(r"[A-Za-z][a-z]*,?", part)) for part in parts]
    starts = [at for at in range(len(parts) - 5) if all(plain[at : at + 6])]
    if not starts or len(parts) < 18:
        return text
    at = draw.choice(starts)
    return " ".join([*parts[:at], "which someone has put down here otherwise,", *parts[at + 6 :]])


def lightly_edited(text: str, draw: random.Random) -> str:
    text = re.sub(r"\s*=\s*", draw.choice(["=", " = "]), text).replace("\\frac", "\\dfrac")
    text = re.sub(r"\$([^$]+)\$", lambda m: f"\\({m[1]}\\)", text).rstrip(".? ")
    return reworded(text.lower() if draw.random() < 0.5 else text, draw)


@pytest.mark.parametrize("name", FILES)
def test_real_problems_are_found(shared: Path, name: str) -> None:
    path = shared / "data" / "benchmarks" / f"{name}.jsonl"
    texts = pl.read_ndjson(path, infer_schema_length=None)[FILES[name]].to_list()
    draw = random.Random(0)
    numbered = [text for text in texts if re.search(r"\d", text)]
    others = [re.sub(r"\d{1,9}", lambda m: str(int(m[0]) + draw.randrange(1, 9)), text) for text in numbered]

    def share(questions: list[str], kind: str) -> float:
        found = find_hits(pl.Series(questions), load_prints()).list.first().struct.field("kind")
        return len([one for one in found if one == kind]) / len(questions)

    assert share(texts, SAME) == 1
    assert share([lightly_edited(text, draw) for text in texts], SAME) >= 0.95
    assert share(others, OTHER_NUMBERS) >= 0.8
