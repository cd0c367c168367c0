"""Every rule from a pool to the selection's folder: its column, its reason, its switch, its line in the report."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from select2reason import pipeline
from select2reason.contamination.overlap import OTHER_NUMBERS, SAME
from select2reason.errors import UsageError
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings

from .conftest import WriteRows

SAFE = SelectSettings(fraction=Decimal(1))
PROBLEM = (
    "A gardener plants {n} rows of tulips, and in each row as many bulbs as there are rows; how many bulbs does she"
    " need if every tenth of them fails?"
)
STEPS = "\n\n".join(f"Step {k}: consider the sum of {k} and {k * k}, then go on to the next of them." for k in range(9))
LOOP = "\n\n".join(
    f"Wait, maybe I should check case {k} again, although case {k} was excluded before." for k in range(90)
)


def reply(trace: str, answer: str = "It is \\boxed{4}.") -> str:
    return f"<think>\n{trace}\n</think>\n\n{answer}"


ROWS: dict[str, dict[str, Any]] = {
    "sound": {"question": "What is 2 + 2?", "response": reply(STEPS)},
    "looping": {"question": "What is 1 + 3?", "response": reply(STEPS + "\n\n" + LOOP)},
    "cut_off": {"question": "What is 5 - 1?", "response": "<think>\n" + STEPS},
    "damaged_tags": {"question": "What is 6 - 2?", "response": reply(STEPS + "\n<think>\n" + STEPS)},
    "no_answer": {"question": "What is 7 - 3?", "response": reply(STEPS, "That was easy, was it not?")},
    "wrong_answer": {"question": "What is 8 - 4?", "response": reply(STEPS, "It is \\boxed{5}.")},
    "language_switch": {
        "question": "What is 9 - 5?",
        "response": reply(STEPS + "\n\n所以我们再检查一次。\n\n" + STEPS),
    },
    "runs_on": {
        "question": "What is 4 * 1?",
        "response": reply(STEPS, "It is \\boxed{4}. " + "And on and on it goes. " * 60),
    },
    "contaminated": {"question": PROBLEM.format(n=20), "response": reply(STEPS)},
    "duplicate": {"question": "What is  2 + 2 ?", "response": reply(STEPS)},
}


@pytest.fixture
def pool(write_rows: WriteRows) -> Path:
    return write_rows([row | {"gold": "4", "ease": 0.5} for row in ROWS.values()])


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    path = tmp_path / "gardening.jsonl"
    path.write_text("\n".join(json.dumps({"question": PROBLEM.format(n=n)}) for n in (20, 2)))
    return path


def run(pool: Path, out: Path, chosen: SelectSettings = SAFE, **scores: Any) -> pl.DataFrame:
    settings = ScoreSettings(difficulty="column:ease", **scores)
    pipeline.select(PoolSettings(pools=(str(pool),)), settings, chosen, out)
    return pl.read_parquet(out / "scores.parquet")


def test_each_rule_has_its_column_its_reason_and_its_line(pool: Path, benchmark: Path, tmp_path: Path) -> None:
    table = run(pool, tmp_path / "out", benchmark_files=(str(benchmark),))
    expected = ["selected" if name == "sound" else name for name in ROWS]
    assert table["reason"].to_list() == expected
    page = (tmp_path / "out" / "report.html").read_text()
    for place, name in enumerate(ROWS):
        if name != "sound":
            assert table[name][place], name
            assert f"<summary><b>{name}</b>" in page, name
    assert "kept with <code>--keep contaminated</code>" in page
    assert "H100" in page


def test_the_loop_s_share_and_start_are_told(pool: Path, tmp_path: Path) -> None:
    table = run(pool, tmp_path / "out")
    assert table["loop_share"][1] > 0.5
    assert 200 < table["loop_start"][1] < table["trace_tokens_raw"][1]
    assert table["loop_start"][0] is None


@pytest.mark.parametrize("rule", [name for name in ROWS if name not in ("sound", "contaminated")])
def test_each_rule_can_be_switched_off(rule: str, pool: Path, tmp_path: Path) -> None:
    missing = ("no_answer", "wrong_answer")  # which an answer that is not there is as well
    kept = {"no_answer": missing, "cut_off": ("cut_off", *missing)}.get(rule, (rule,))
    table = run(pool, tmp_path / "out", replace(SAFE, keep=kept, per_question=0))
    row = list(ROWS).index(rule)
    assert table[rule][row]  # the column says so still
    assert table["reason"][row] == "selected"


def test_the_paper_s_preset_leaves_nothing_out(pool: Path, benchmark: Path, tmp_path: Path) -> None:
    table = run(pool, tmp_path / "out", replace(SAFE, preset="paper"), benchmark_files=(str(benchmark),))
    assert set(table["reason"]) == {"selected"}
    assert table["contaminated"].sum() == 1  # found, and told
    assert table["wrong_answer"].null_count() == table.height  # the pool has no flags, and nothing was graded


def test_the_paper_s_preset_asks_what_its_rules_go_by(pool: Path, tmp_path: Path) -> None:
    chosen = replace(SAFE, preset="paper")
    asked, spared = run(pool, tmp_path / "all", replace(chosen, checks="all")), run(pool, tmp_path / "used", chosen)
    unasked = ["looping", "damaged_tags", "language_switch", "runs_on", "no_answer", "contaminated", "duplicate"]
    unasked += ["question_group", "loop_share", "loop_start", "benchmark", "other_numbers"]
    assert {name: spared[name].null_count() for name in unasked} == dict.fromkeys(unasked, spared.height)
    assert not asked["looping"].null_count()
    assert spared["cut_off"].to_list() == [True if name == "cut_off" else None for name in ROWS]  # its tags say so
    same = [name for name in spared.columns if name not in (*unasked, "cut_off")]
    assert spared.select(same).equals(asked.select(same))
    page = (tmp_path / "used" / "report.html").read_text()
    assert "Not measured in this run: looping" in page
    assert "--checks all" in page


def test_what_was_measured_before_changes_nothing(pool: Path, tmp_path: Path) -> None:
    chosen = replace(SAFE, preset="paper")
    files = {}
    for name, before in (("alone", []), ("after safe", [SAFE])):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SELECT2REASON_CACHE", str(tmp_path / f"cache {name}"))
            for other in before:
                run(pool, tmp_path / "before", other)
            run(pool, tmp_path / name, chosen)
            files[name] = {
                path.relative_to(tmp_path / name): path.read_bytes()
                for path in (tmp_path / name).rglob("*")
                if path.is_file()
            }
        scored = {path.name.partition("-")[0] for path in (tmp_path / f"cache {name}").glob("pools/*/scores/*")}
        assert ("lengths" in scored) == (not before)  # what stands there is read, not scored again
    assert files["alone"] == files["after safe"]


@pytest.mark.parametrize(
    ("wanted", "columns"),
    [
        ({"keep": ("looping",), "checks": "used"}, {"runs_on", "duplicate", "question_group", "no_answer"}),
        ({"preset": "paper", "per_question": 1}, {"question_group"}),
        ({"preset": "paper", "verify": "grade"}, {"no_answer", "wrong_answer"}),
        ({"preset": "paper", "cutoff_len": 10_000}, {"over_cutoff"}),
    ],
)
def test_a_rule_in_force_is_asked_for(wanted: dict[str, Any], columns: set[str], pool: Path, tmp_path: Path) -> None:
    every = {*ROWS, "question_group", "over_cutoff"} - {"sound", "cut_off"}
    table = run(pool, tmp_path / "out", replace(SAFE, **wanted))
    asked = {name for name in every if table[name].null_count() < table.height}
    assert columns <= asked
    if wanted.get("preset") == "paper":
        assert asked == columns


def test_a_benchmark_that_is_named_is_looked_for(pool: Path, tmp_path: Path) -> None:
    table = run(pool, tmp_path / "out", replace(SAFE, preset="paper"), contamination=True)
    assert not table["contaminated"].null_count()


# --- contamination --------------------------------------------------------------------------------------------------


def test_each_hit_is_a_row_of_evidence(write_rows: WriteRows, benchmark: Path, tmp_path: Path) -> None:
    asked = [PROBLEM.format(n=20), PROBLEM.format(n=33), "What is 1 + 1?"]
    pool = write_rows([{"question": one, "response": reply(STEPS), "ease": 0.5} for one in asked])
    table = run(pool, tmp_path / "out", benchmark_files=(str(benchmark),))
    evidence = pl.read_parquet(tmp_path / "out" / "contamination.parquet")
    assert evidence.filter(kind=SAME).select("row", "benchmark", "problem").rows() == [(0, "gardening", 0)]
    assert evidence.filter(kind=OTHER_NUMBERS)["row"].unique().to_list() == [1]
    assert table["contaminated"].to_list() == [True, False, False]
    assert table["other_numbers"].to_list() == [False, True, False]
    assert table["benchmark"].to_list() == ["gardening", "gardening", None]
    assert table["reason"].to_list() == ["contaminated", "selected", "selected"]


def test_contamination_off_looks_for_nothing(pool: Path, tmp_path: Path) -> None:
    table = run(pool, tmp_path / "out", contamination=False)
    assert table["contaminated"].null_count() == table.height
    assert not (tmp_path / "out" / "contamination.parquet").exists()


def test_the_bundled_benchmarks_are_looked_for_by_default(shared: Path, write_rows: WriteRows, tmp_path: Path) -> None:
    problem = pl.read_ndjson(shared / "data" / "benchmarks" / "aime24.jsonl")["problem"][3]
    rows = [{"question": text, "response": reply(STEPS), "ease": 0.5} for text in (problem, "What is 1 + 1?")]
    assert run(write_rows(rows), tmp_path / "out")["benchmark"].to_list() == ["aime24", None]


# --- answers --------------------------------------------------------------------------------------------------------


def flagged(write_rows: WriteRows, **flags: bool | None) -> Path:
    """Rows whose answers are right or wrong by the gold answer, and what their own flag says of them."""
    answers = {"right": "4", "wrong": "5"}
    rows = [
        {
            "question": f"What is {k} + {4 - k}?",
            "response": reply(STEPS, f"It is \\boxed{{{answers[name.split('_')[0]]}}}."),
            "gold": "4",
            "correct": flag,
            "ease": 0.5,
        }
        for k, (name, flag) in enumerate(flags.items())
    ]
    return write_rows(rows)


FLAGS: dict[str, bool | None] = {"right_true": True, "right_false": False, "right_null": None, "wrong_true": True,
                                 "wrong_false": False, "wrong_null": None}  # fmt: skip


@pytest.mark.parametrize(
    ("verify", "wrong"),
    [
        ("pool", [False, True, None, False, True, None]),
        ("grade", [False, False, False, True, True, True]),
        ("auto", [False, True, False, False, True, True]),
        ("off", [False, True, None, False, True, None]),
    ],
)
def test_who_says_which_answers_are_wrong(
    verify: Any, wrong: list[bool | None], write_rows: WriteRows, tmp_path: Path
) -> None:
    table = run(flagged(write_rows, **FLAGS), tmp_path / "out", replace(SAFE, verify=verify))
    assert table["wrong_answer"].to_list() == wrong
    left_out = [reason == "wrong_answer" for reason in table["reason"]]
    assert left_out == [verify != "off" and bool(one) for one in wrong]


def test_verdicts_are_kept(write_rows: WriteRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = flagged(write_rows, **FLAGS)
    first = run(pool, tmp_path / "a", replace(SAFE, verify="grade"))
    monkeypatch.setattr("select2reason.grading.grader.Grader", None)  # it is not asked again
    assert run(pool, tmp_path / "b", replace(SAFE, verify="grade", seed=1)).equals(first)


def test_grading_needs_gold_answers(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = write_rows([{"question": "What is 1 + 1?", "response": "2", "ease": 0.5}])
    with pytest.raises(UsageError, match="no gold answers"):
        run(pool, tmp_path / "out", replace(SAFE, verify="grade"))


def test_of_several_traces_the_best_right_one_is_kept(write_rows: WriteRows, tmp_path: Path) -> None:
    traces = [(1, "4"), (2, "4"), (3, "5")]
    rows = [
        {"question": "What is 2 + 2?", "response": reply("\n\n".join([STEPS, "More. " * size]), f"\\boxed{{{answer}}}"),
         "gold": "4", "ease": 0.5}
        for size, answer in traces
    ]  # fmt: skip
    table = run(write_rows(rows), tmp_path / "out")
    assert table["reason"].to_list() == ["same_question", "selected", "wrong_answer"]


def test_a_trace_that_is_right_comes_before_one_without_a_verdict(write_rows: WriteRows, tmp_path: Path) -> None:
    rows = [
        {
            "question": "What is 2 + 2?",
            "response": reply("\n\n".join([STEPS, "More. " * size])),
            "correct": flag,
            "ease": 0.5,
        }
        for size, flag in ((9, None), (2, True), (1, True))
    ]
    pool = write_rows([*rows, {"question": "What is 3 + 3?", "response": reply(STEPS), "correct": None, "ease": 0.5}])
    table = run(pool, tmp_path / "out")
    assert table["reason"].to_list() == ["same_question", "selected", "same_question", "selected"]
    free = run(pool, tmp_path / "free", replace(SAFE, verify="off"))
    assert free["reason"].to_list() == ["selected", "same_question", "same_question", "selected"]


def test_no_answer_is_asked_only_where_there_is_a_gold_answer(write_rows: WriteRows, tmp_path: Path) -> None:
    rows = [
        {"question": f"Show that {k} is odd.", "response": reply(STEPS, "Done."), "gold": gold, "ease": 0.5}
        for k, gold in enumerate((None, "proof", "4"))
    ]
    assert run(write_rows(rows), tmp_path / "out")["no_answer"].to_list() == [None, None, True]


# --- the pool's length ceiling ----------------------------------------------------------------------------------------


def test_traces_without_tags_that_stop_at_the_ceiling_are_cut_off(write_rows: WriteRows, tmp_path: Path) -> None:
    draw = Random(0)

    def prose(words: int) -> str:
        return " ".join(draw.choice(["alpha", "beta", "gamma", "delta", "so", "then"]) for _ in range(words))

    texts = [f"{prose(200 + 10 * n)}. It is 4." for n in range(40)] + [f"{prose(900)} and so the" for _ in range(10)]
    rows = [{"question": f"What is {n}?", "response": text, "ease": 0.5} for n, text in enumerate(texts)]
    out = tmp_path / "out"
    table = run(write_rows(rows), out)
    assert table["cut_off"].to_list() == [False] * 40 + [True] * 10
    (ceiling,) = json.loads((out / "manifest.json").read_text())["length_ceilings_tokens"]
    assert ceiling == table["total_tokens"].max()


def test_near_duplicates_are_one_question(write_rows: WriteRows, tmp_path: Path) -> None:
    asked = [PROBLEM.format(n=20), PROBLEM.format(n=20).replace("she need", "she then need"), PROBLEM.format(n=30)]
    rows = [
        {"question": one, "response": reply("\n\n".join([STEPS, "More. " * k])), "ease": 0.5}
        for k, one in enumerate(asked, 1)
    ]
    table = run(write_rows(rows), tmp_path / "out")
    assert table["question_group"].to_list() == [0, 0, 1]
    assert table["reason"].to_list() == ["same_question", "selected", "selected"]
