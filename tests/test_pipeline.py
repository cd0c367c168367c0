"""Whole runs: the paper's preset against an independent implementation, every file that a selection leaves, restart."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path

import datasets
import polars as pl
import pytest
import tokenizers

from select2reason import pipeline
from select2reason.errors import OutputError
from select2reason.scoring import local
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings

from .conftest import WriteRows
from .runs import PAPER, SAFE, data, every_reason, question_row, response, run

# --- the paper, independently ---------------------------------------------------------------------------------------


def by_hand(pool: Path, tokenizer: Path) -> list[int]:
    """METHOD 3, 4 and 9 with dictionaries and sorted(): the rows that the paper's preset takes, best first."""
    count = tokenizers.Tokenizer.from_file(str(tokenizer))
    rows = pl.read_parquet(pool).to_dicts()
    verified = [i for i, row in enumerate(rows) if row["correctness_math_verify"] == [True]]
    length: dict[int, int] = {}
    for i in verified:
        trace = rows[i]["generations"][0].split("<think>")[1].split("</think>")[0]
        kept: dict[str, str] = {}
        for step in trace.split("\n\n"):
            kept.setdefault(step.strip(), step)
        length[i] = len(count.encode("\n\n".join(kept.values()), add_special_tokens=False).ids)
    hard, long = mean_ranks({i: rows[i]["pass_rate"] for i in verified}), mean_ranks(length)
    joint = {i: Decimal(hard[i]) + 3 * Decimal(long[i]) for i in verified}  # four times the joint rank, exact
    best = sorted(verified, key=lambda i: (joint[i], -length[i], i))
    return best[: max(1, len(verified) // 10)]


def mean_ranks(value: Mapping[int, float]) -> dict[int, float]:
    """1 = largest; equal values share the mean of their places."""
    places: dict[float, list[int]] = {}
    for place, i in enumerate(sorted(value, key=lambda i: -value[i]), start=1):
        places.setdefault(value[i], []).append(place)
    return {i: sum(places[v]) / len(places[v]) for i, v in value.items()}


def test_the_paper_preset_equals_an_independent_implementation(shared: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.parquet"
    make = [sys.executable, str(shared / "tools/make_pool"), "400", str(pool), "--seed", "3"]
    subprocess.run(make, check=True, capture_output=True)
    run(pool, tmp_path / "out", PAPER)
    assert data(tmp_path / "out")["row"].to_list() == by_hand(pool, shared / "tokenizers/qwen2.5/tokenizer.json")


def test_of_several_generations_the_paper_takes_the_first_that_is_complete_and_verified(
    write_rows: WriteRows, tmp_path: Path
) -> None:
    several = question_row(
        1,
        generations=[response("wrong", "3"), response("cut", "2"), response("good", "2"), response("later", "2")],
        correctness_math_verify=[False, True, True, True],
        finish_reasons=["stop", "length", "stop", "stop"],
    )
    unsaid = question_row(2, generations=[response("a", "4"), response("b", "4")], correctness_math_verify=[None, True])
    unsaid["finish_reasons"] = ["stop", "stop"]
    table = run(write_rows([several, unsaid]), tmp_path / "out", replace(PAPER, fraction=Decimal(1)))
    expected = ["wrong_answer", "cut_off", "selected", "same_question", "same_question", "selected"]
    assert table["reason"].to_list() == expected
    assert table["rank_joint"].is_null().to_list() == [True, True, False, True, True, False]


def test_an_unfinished_wrong_generation_is_called_unfinished_in_both_presets(
    write_rows: WriteRows, tmp_path: Path
) -> None:
    both = question_row(1, correctness_math_verify=[False], finish_reasons=["length"])
    pool = write_rows([both, question_row(2)])
    for preset in ("paper", "safe"):
        chosen = replace(SAFE, preset=preset, fraction=Decimal(1))
        assert run(pool, tmp_path / preset, chosen)["reason"].to_list() == ["cut_off", "selected"]


def test_what_is_asked_for_overrides_the_paper_s_recipe(write_rows: WriteRows, tmp_path: Path) -> None:
    unfinished = question_row(1, finish_reasons=["length"])
    two = question_row(2, generations=[response("a", "4"), response("b", "4")], correctness_math_verify=[None, False])
    pool, everything = write_rows([unfinished, two]), replace(PAPER, fraction=Decimal(1))
    kept = run(pool, tmp_path / "a", replace(everything, keep=("cut_off",)))
    assert kept["reason"].to_list() == ["selected", "selected", "wrong_answer"]
    unverified = run(pool, tmp_path / "b", replace(everything, verify="off"))
    assert unverified["reason"].to_list() == ["cut_off", "selected", "same_question"]
    capped = run(pool, tmp_path / "c", replace(everything, verify="off", per_question=2))
    assert capped["reason"].to_list() == ["selected", "selected", "selected"]


# --- what a selection leaves ----------------------------------------------------------------------------------------


@pytest.fixture
def pool(write_rows: WriteRows) -> Path:
    return every_reason(write_rows)


def test_every_row_has_its_reason(pool: Path, tmp_path: Path) -> None:
    table = run(pool, tmp_path / "out")
    reasons = ["ranked_below", "wrong_answer", "cut_off", "no_trace", "same_question", "ranked_below"]
    reasons += ["selected", "selected", "duplicate", "selected"]
    assert table["reason"].to_list() == reasons
    assert table["row"].to_list() == list(range(10))
    assert table["question_group"].to_list() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 4]
    assert table.filter(~pl.col("selected"))["rank_joint"].null_count() == 4


def test_of_equal_examples_the_first_that_is_good_is_the_original(write_rows: WriteRows, tmp_path: Path) -> None:
    wrong = question_row(1, correctness_math_verify=[False])
    table = run(
        write_rows([wrong, question_row(1), question_row(1)]), tmp_path / "out", replace(SAFE, fraction=Decimal(1))
    )
    assert table["reason"].to_list() == ["wrong_answer", "selected", "duplicate"]


def test_rules_have_columns_whatever_is_done_with_them(pool: Path, tmp_path: Path) -> None:
    table = run(pool, tmp_path / "out", replace(SAFE, keep=("cut_off", "duplicate"), verify="off", cutoff_len=0))
    flagged = {name: table[name].arg_true().to_list() for name in ("cut_off", "no_trace", "wrong_answer", "duplicate")}
    assert flagged == {"cut_off": [2], "no_trace": [3], "wrong_answer": [1], "duplicate": [8]}
    for name in ("no_answer", "over_cutoff"):  # not asked for
        assert table[name].null_count() == table.height, name
    assert set(table["reason"]) == {"no_trace", "same_question", "ranked_below", "selected"}


def test_the_cutoff_is_of_the_whole_example(pool: Path, tmp_path: Path) -> None:
    longest = run(pool, tmp_path / "a")["total_tokens"].max()
    assert isinstance(longest, int)
    at = run(pool, tmp_path / "b", replace(SAFE, cutoff_len=longest))
    below = run(pool, tmp_path / "c", replace(SAFE, cutoff_len=longest - 1))
    assert at["over_cutoff"].sum() == 0
    assert below["over_cutoff"].sum() == (at["total_tokens"] == longest).sum() > 0
    assert data(tmp_path / "c")["total_tokens"].max() < longest  # type: ignore[operator]


def test_the_chosen_rows_are_whole_and_best_first(pool: Path, tmp_path: Path) -> None:
    table = run(pool, tmp_path / "out")
    chosen = data(tmp_path / "out")
    first = chosen.row(0, named=True)
    assert chosen["rank_joint"].is_sorted()
    assert [turn["role"] for turn in first["messages"]] == ["system", "user", "assistant"]
    source = json.loads(pool.read_text().splitlines()[first["source_row"]])
    assert first["messages"][2]["content"] == source["generations"][0]
    assert first["question"] == source["problem"] == first["messages"][1]["content"]
    assert first["trace"] == source["generations"][0].split("<think>")[1].split("</think>")[0]
    assert first["answer"] == f"The answer is \\boxed{{{source['answer']}}}."
    assert (first["gold"], first["category"], first["generation"]) == (source["answer"], source["problem_type"], 0)
    assert (first["source_file"], first["uuid"]) == (str(pool), source["uuid"])
    assert (first["finish_reasons"], first["correctness_math_verify"]) == ("stop", True)
    assert first["total_tokens"] == table["total_tokens"][first["row"]]


def test_datasets_opens_the_folder(pool: Path, tmp_path: Path) -> None:
    run(pool, tmp_path / "out")
    opened = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "hf"))
    assert opened["train"].num_rows == data(tmp_path / "out").height
    assert opened["train"][0]["messages"][0]["role"] == "system"


def test_the_manifest_accounts_for_everything(pool: Path, tmp_path: Path) -> None:
    table = run(pool, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert sum(manifest["counts"].values()) == table.height == manifest["pool"]["rows"]
    assert manifest["pool"]["sources"][0]["sha256"] == hashlib.sha256(pool.read_bytes()).hexdigest()
    written = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert written == {*manifest["outputs"], "manifest.json"}
    for name, digest in manifest["outputs"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest


def test_the_same_work_gives_the_same_bytes(pool: Path, tmp_path: Path) -> None:
    def digests(out: Path, cache: Path) -> dict[str, str]:
        run(pool, out, cache_dir=cache)
        outputs: dict[str, str] = json.loads((out / "manifest.json").read_text())["outputs"]
        return outputs

    assert digests(tmp_path / "a", tmp_path / "c1") == digests(tmp_path / "b", tmp_path / "c2")


def test_nothing_is_scored_twice(pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(pool, tmp_path / "a")
    monkeypatch.setattr(local, "_checked", lambda *_: pytest.fail("scored again"))
    table = run(pool, tmp_path / "b", replace(SAFE, weight=1.0, fraction=None, rows=1))
    assert table.filter("selected")["row"].to_list() == [0]  # the hardest by pass_rate


def test_several_pools_keep_their_names(write_rows: WriteRows, tmp_path: Path) -> None:
    first = write_rows([question_row(1)], "a.jsonl")
    second = write_rows([{"instruction": "What is 2 + 5?", "output": "7", "pass_rate": 0.5}], "b.jsonl")
    run(first, tmp_path / "out", replace(SAFE, fraction=Decimal(1)), pools=(str(first), str(second)))
    assert sorted(data(tmp_path / "out")["source_file"]) == [str(first), str(second)]


def test_unreadable_rows_are_set_aside_and_said(write_rows: WriteRows, tmp_path: Path) -> None:
    pool = write_rows([question_row(number) for number in range(30)])
    pool.write_bytes(pool.read_bytes() + b'{"problem": broken\n')
    run(pool, tmp_path / "out")
    aside = [json.loads(line) for line in (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()]
    assert [(row["source_file"], row["line"], row["head"]) for row in aside] == [(str(pool), 31, '{"problem": broken')]


def test_carried_columns_can_be_chosen(pool: Path, tmp_path: Path) -> None:
    run(pool, tmp_path / "a", carry="none")
    run(pool, tmp_path / "b", carry=("uuid",))
    assert "uuid" not in data(tmp_path / "a").columns
    assert {"uuid"} == set(data(tmp_path / "b").columns) - set(data(tmp_path / "a").columns)


def test_a_carried_column_never_hides_one_of_ours(write_rows: WriteRows, tmp_path: Path) -> None:
    rows = [question_row(1) | {"row": "mine", "difficulty": 0.9, "trace_tokens": 7}]
    run(write_rows(rows), tmp_path / "out", difficulty="column:difficulty")
    row = data(tmp_path / "out").row(0, named=True)
    assert (row["row"], row["row_input"], row["difficulty"], row["difficulty_input"]) == (0, "mine", 0.9, 0.9)
    assert row["trace_tokens_input"] == 7


# --- difficulty -----------------------------------------------------------------------------------------------------


def test_what_is_no_finite_number_is_no_difficulty(write_rows: WriteRows, tmp_path: Path) -> None:
    values = ["0.5", "nan", None, "inf", "word", "-1e3"]
    rows = [question_row(number, pass_rate=value) for number, value in enumerate(values)]
    outcome = pipeline.select(
        PoolSettings(pools=(str(write_rows(rows)),)),
        ScoreSettings(difficulty="column:pass_rate"),
        replace(SAFE, strategy="hardest"),
        tmp_path / "out",
    )
    table = pl.read_parquet(tmp_path / "out" / "scores.parquet")
    assert table["difficulty"].to_list() == [0.5, None, None, None, None, -1000.0]
    assert table["rank_difficulty"].to_list() == [1.0, 4.5, 4.5, 4.5, 4.5, 2.0]
    assert "4 rows have no difficulty; they rank last in difficulty" in outcome.notes


@pytest.mark.parametrize("step", [1, 1e285])
def test_a_difficulty_of_any_size_is_drawn(step: float, write_rows: WriteRows, tmp_path: Path) -> None:
    """Numbers so close that they are one as floats, or so far apart that their distance is hardly one."""
    rows = [question_row(n, pass_rate=10**18 + n if step == 1 else (n - 4) * step * 1e14) for n in range(9)]
    pool = write_rows([*rows, question_row(9, pass_rate=1.7e308)])
    table = run(pool, tmp_path / "out", replace(SAFE, strategy="hardest"))
    assert table["difficulty"].null_count() == 1  # a number that stands for none
    pipeline.compare(
        PoolSettings((str(pool),)), ScoreSettings(difficulty="column:pass_rate"), SAFE, tmp_path / "compared"
    )
    for out in ("out", "compared"):
        assert "nan" not in (tmp_path / out / "report.html").read_text().partition("<svg")[2].partition("</svg>")[0]


def test_the_built_in_difficulty_orders_easy_before_hard(write_rows: WriteRows, tmp_path: Path) -> None:
    hard = "Find the number of functions f from the integers to the integers with f(f(n)) = n + 2025 for all n."
    rows = [question_row(1, problem="What is 2 plus 3?"), question_row(2, problem=hard)]
    table = run(write_rows(rows), tmp_path / "out", difficulty="builtin")
    easy, difficult = table["difficulty"].to_list()
    assert 0 <= easy < difficult <= 1


# --- analyze and demo -----------------------------------------------------------------------------------------------


def test_analyze_writes_the_study(pool: Path, tmp_path: Path) -> None:
    scores = ScoreSettings(difficulty="column:pass_rate")
    study = pipeline.analyze(PoolSettings(pools=(str(pool),)), scores, tmp_path / "out", cutoff_tokens=16_384)
    assert json.loads((tmp_path / "out" / "study.json").read_text()) == study
    names = {p.name for p in (tmp_path / "out").iterdir()}
    files = {
        "report.html",
        "study.json",
        "scores.parquet",
        "manifest.json",
        "quarantine.jsonl",
        "contamination.parquet",
    }
    assert names == files
    assert "selected" not in pl.read_parquet(tmp_path / "out" / "scores.parquet").columns


def test_what_a_strategy_does_not_go_by_is_told(pool: Path, tmp_path: Path) -> None:
    """By a comparison nothing is: it has every strategy in it."""
    longest = replace(SAFE, strategy="longest", weight=0.5, seed=3)

    def told(out: Path) -> list[str]:
        return [note for note in json.loads((out / "manifest.json").read_text())["notes"] if note.startswith("--")]

    run(pool, tmp_path / "out", longest)
    assert told(tmp_path / "out") == [
        "--weight is used by the strategy joint alone, not by longest",
        "--seed is used by the strategies random and diverse, not by longest",
    ]
    pipeline.compare(PoolSettings(pools=(str(pool),)), ScoreSettings(), longest, tmp_path / "compared")
    assert told(tmp_path / "compared") == []


def test_compare_writes_what_select_would_take(pool: Path, tmp_path: Path) -> None:
    scores, settings = ScoreSettings(difficulty="column:pass_rate"), PoolSettings(pools=(str(pool),))
    compared = pipeline.compare(settings, scores, SAFE, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert written == json.loads(json.dumps(asdict(compared)))
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "report.html",
        "comparison.json",
        "scores.parquet",
        "manifest.json",
        "quarantine.jsonl",
        "contamination.parquet",
    }
    for strategy in ("joint", "shortest", "hardest"):
        alone = run(pool, tmp_path / strategy, replace(SAFE, strategy=strategy))
        figures = compared.choice(strategy).figures
        assert figures.tokens == alone.filter("selected")["total_tokens"].sum()
    joint = pl.read_parquet(tmp_path / "joint" / "scores.parquet")
    assert pl.read_parquet(tmp_path / "out" / "scores.parquet").equals(joint)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["kind"] == "comparison"


def test_one_kind_of_result_never_takes_the_place_of_another(pool: Path, tmp_path: Path) -> None:
    run(pool, tmp_path / "out")
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    with pytest.raises(OutputError, match="no earlier comparison"):
        pipeline.compare(PoolSettings(pools=(str(pool),)), ScoreSettings(), SAFE, tmp_path / "out", force=True)
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before


def test_the_report_shows_categories_and_benchmark_problems(
    write_rows: WriteRows, shared: Path, tmp_path: Path
) -> None:
    problem = json.loads((shared / "data/benchmarks/math500.jsonl").read_text().splitlines()[4])["problem"]
    rows = [question_row(number, problem_type="<b>Odd</b>" if number % 2 else None) for number in range(1, 9)]
    rows.append(question_row(9, problem=problem))
    run(write_rows(rows), tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "&lt;b&gt;Odd&lt;/b&gt;" in page
    assert "<b>Odd</b>" not in page
    hit = page[page.index("Which problems, and how close") :]
    assert ">math500</bdi>" in hit
    assert 'data-name="problem">4</td>' in hit
    assert 'data-name="row">8</td>' in hit


def test_the_demo_overwrites_nobody_s_pool(tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_text("mine")
    for force in (False, True):
        with pytest.raises(OutputError, match=r"pool.jsonl exists"):
            pipeline.demo(tmp_path, force=force)
    assert (tmp_path / "pool.jsonl").read_text() == "mine"


def test_a_folder_s_earlier_selection_is_not_its_pool(pool: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    pool.rename(folder / pool.name)
    for weight in (0.25, 0.75):
        assert run(folder, folder / f"best-{weight}", replace(SAFE, weight=weight)).height == 10


@pytest.mark.parametrize(("rates", "told"), [([0.5] * 8, 1), ([n / 9 for n in range(8)], 0)])
def test_a_difficulty_that_is_the_same_throughout_is_told(
    write_rows: WriteRows, tmp_path: Path, rates: list[float], told: int
) -> None:
    run(write_rows([question_row(n, pass_rate=rate) for n, rate in enumerate(rates)]), tmp_path / "out")
    notes = json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"]
    assert sum("every difficulty is 0.5" in note for note in notes) == told


def test_blank_categories_are_none(write_rows: WriteRows, tmp_path: Path) -> None:
    kinds = ["x"] * 4 + ["", " ", None, ""]
    pool = write_rows([question_row(n, length=n + 1, problem_type=kind) for n, kind in enumerate(kinds)])
    run(pool, tmp_path / "out", replace(PAPER, fraction=None, rows=4, strategy="diverse"))
    assert [kind for kind in data(tmp_path / "out")["category"] if kind == "x"] == ["x", "x"]


def test_the_default_settings_are_the_paper_s_tenth(pool: Path, tmp_path: Path) -> None:
    run(pool, tmp_path / "out", SelectSettings())
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["parameters"]["fraction"] == "0.10"


def test_the_demo_shows_the_reasons_that_this_version_finds(tmp_path: Path) -> None:
    outcome = pipeline.demo(tmp_path / "demo")
    shown = set(outcome.counts)
    assert shown >= {"no_trace", "looping", "cut_off", "no_answer", "wrong_answer", "language_switch", "duplicate"}
    assert shown >= {"over_cutoff", "same_question", "ranked_below"}
    assert outcome.selected == outcome.eligible // 10


def test_an_empty_file_among_others_is_no_obstacle(write_rows: WriteRows, tmp_path: Path) -> None:
    full, empty = write_rows([question_row(1)], "a.jsonl"), tmp_path / "b.parquet"
    pl.DataFrame(schema={"problem": pl.String}).write_parquet(empty)
    table = run(full, tmp_path / "out", pools=(str(empty), str(full)))
    assert table.height == 1
