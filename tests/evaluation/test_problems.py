r"""Benchmarks from files as they come: columns found, options laid out, golds read, and what is wrong said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import WriteRows

from select2reason.backends.base import Sampling
from select2reason.benchmarks import BENCHMARKS
from select2reason.errors import PoolError, RunError, UsageError
from select2reason.evaluation.conclusions import conclusions
from select2reason.evaluation.problems import Asking, load_problems, read_problems, write_problems
from select2reason.grading import Grader


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(1, timeout_s=20) as grader:
        yield grader


def test_golds_of_every_shape(write_rows: WriteRows, tmp_path: Path) -> None:
    rows = [
        {"question": "a", "final_answer": ["2"]},
        {"question": "b", "final_answer": ["(1,2)", "(3,4)"]},
        {"question": "c", "final_answer": []},
    ]
    write_rows(rows, "olympiadbench.jsonl")
    found = read_problems("olympiadbench", data=str(tmp_path))
    assert [problem.gold for problem in found.problems] == ["2", "(1,2), (3,4)", None]
    write_rows([{"problem": "a", "answer": {"1": "x", "2": "y"}}, {"problem": "b", "answer": "B"}], "kaoyan.jsonl")
    assert [problem.gold for problem in read_problems("kaoyan", data=str(tmp_path)).problems] == [None, "B"]
    write_rows(
        [{"question": "a", "answer": "3", "choice_answer": "C"}, {"question": "b", "answer": "4"}], "gaokao2024.jsonl"
    )
    assert [problem.gold for problem in read_problems("gaokao2024", data=str(tmp_path)).problems] == ["C", "4"]


def test_options_are_laid_out_and_numbers_become_letters(write_rows: WriteRows, tmp_path: Path) -> None:
    rows = [{"question": "How many?", "options": ["one", "two"], "answer": "B"}]
    write_rows(rows, "mmlu_pro_stem.jsonl")
    (problem,) = read_problems("mmlu_pro", data=str(tmp_path)).problems
    assert problem.question.startswith("How many?\n\nA. one\nB. two\n\nPut nothing but the letter")
    numbered: list[dict[str, object]] = [
        {"query": "几个？ (A)一个 (B)两个", "choices": ["(A)一个", "(B)两个"], "gold": [1]}
    ]
    write_rows(numbered, "gaokao_math_qa.jsonl")
    (problem,) = read_problems("gaokao_math_qa", data=str(tmp_path)).problems
    assert problem.gold == "B"
    assert problem.question == "几个？ (A)一个 (B)两个\n\n请只把正确选项的字母写在 \\boxed{} 中。"


def test_a_table_of_ones_own(write_rows: WriteRows, tmp_path: Path) -> None:
    table = write_rows([{"ask": f"{n}+{n}", "sum": 2 * n} for n in range(5)], "my sums.v1.jsonl")
    found = read_problems(str(table), columns={"question": "ask", "gold": "sum"}, limit=3)
    assert (found.benchmark.name, found.benchmark.sampling.n, len(found.problems), found.rows) == (
        "my_sums_v1",
        1,
        3,
        5,
    )
    assert [(problem.question, problem.gold) for problem in found.problems] == [
        ("0+0", "0"),
        ("1+1", "2"),
        ("2+2", "4"),
    ]


def test_what_is_missing_is_said(write_rows: WriteRows, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="benchmarks are aime24, aime25"):
        read_problems("aime23", data=str(tmp_path))
    with pytest.raises(UsageError, match=r"holds no aime24: name its file aime24\.jsonl"):
        read_problems("aime24", data=str(tmp_path))
    with pytest.raises(UsageError, match="kaoyan has no copy on the Hub"):
        read_problems("kaoyan")
    write_rows([{"ask": "a", "answer": "1"}], "aime24.jsonl")
    with pytest.raises(PoolError, match="none of the columns question, problem; it has ask, answer"):
        read_problems("aime24", data=str(tmp_path))
    write_rows([{"problem": "a", "answer": None}], "aime25.jsonl")
    with pytest.raises(UsageError, match="no problem has a gold answer"):
        read_problems("aime25", data=str(tmp_path))


def test_what_was_asked_is_kept(write_rows: WriteRows, tmp_path: Path) -> None:
    write_rows([{"question": "How many?", "options": ["one", "two"], "answer": "B"}], "mmlu_pro.jsonl")
    found = read_problems("mmlu_pro", data=str(tmp_path))
    asking = Asking(Sampling(n=3, temperature=0.5), "Be brief.", "m")
    write_problems(found, asking, tmp_path / "kept.jsonl")
    again, how = load_problems(tmp_path / "kept.jsonl")
    assert (list(again.problems), again.source, how) == (list(found.problems), found.source, asking)
    (tmp_path / "kept.jsonl").write_text("no\n")
    with pytest.raises(RunError, match="move it away and evaluate again"):
        load_problems(tmp_path / "kept.jsonl")


def test_a_choice_may_be_given_by_its_text(grader: Grader, write_rows: WriteRows, tmp_path: Path) -> None:
    rows = [{"question": "q", "options": ["1/2", "0.25", "2", "2.0", r"\\ddot{x}+x=0"], "answer": "D"}]
    write_rows(rows, "mmlu_pro.jsonl")
    problems = read_problems("mmlu_pro", data=str(tmp_path)).problems
    said = {
        r"\boxed{A}": "A",
        r"\boxed{\frac12}": "A",
        r"\boxed{25\%}": "B",
        r"\boxed{2}": "D",  # C as well, and the gold answer is one of the two
        r"\boxed{(B) 0.25}": "(B) 0.25",
        "I do not know": None,
        r"\boxed{9}": "9",
        r"\boxed{x''+x=0}": "x''+x=0",
    }
    found = conclusions("choice", problems, [list(said)], grader)
    assert found.results == [list(said.values())]
    assert found.unclear == {(0, "x''+x=0")}  # no option is equal, and one cannot be compared


@pytest.mark.parametrize(
    ("gold", "letter"),
    [
        (2, "C"),
        ("C", "C"),
        ("blue", "C"),
        (["B", "C"], "B, C"),
        ([0, 2], "AC"),
        ("Blue.", "C"),
        ("(b)", "(b)"),
    ],
)
def test_golds_of_choices_become_letters(gold: object, letter: str, write_rows: WriteRows, tmp_path: Path) -> None:
    rows = [
        {"question": "q", "choices": {"label": ["A", "B", "C"], "text": ["red", "S. aureus", "blue"]}, "gold": gold}
    ]
    (problem,) = read_problems(str(write_rows(rows, "own.jsonl")), columns={"gold": "gold"}).problems
    assert problem.gold == letter
    assert "A. red\nB. S. aureus\nC. blue" in problem.question


@pytest.mark.parametrize(
    ("golds", "letters"),
    [
        (["Rome", "Paris", "Berne", "Oslo"], ["A", "B", None, "C"]),  # one is no option, and the others are
        (["rome", "$Paris$", "Bern.", "Oslo"], ["A", "B", "D", "C"]),
        (["1", "2", "4", "3"], ["A", "B", "D", "C"]),  # from 1, as no reading from 0 has a fourth
        (["1", "2", "0", "3"], ["B", "C", "A", "D"]),
        (["A", "2", "Oslo", "4"], ["A", "B", "C", "D"]),
        (["A", "(B)", "A, C", "Z"], ["A", "(B)", "A, C", None]),
    ],
)
def test_golds_of_choices_are_read_by_the_table_and_else_by_the_row(
    golds: list[str], letters: list[str | None], write_rows: WriteRows, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"question": f"q{n}", "options": ["Rome", "Paris", "Oslo", "Bern"], "answer": one}
        for n, one in enumerate(golds)
    ]
    assert [one.gold for one in read_problems(str(write_rows(rows))).problems] == letters
    assert ("1 gold answers are none of their row's options" in capsys.readouterr().err) == (None in letters)


def test_labels_of_options_say_which_is_meant(write_rows: WriteRows) -> None:
    rows = [
        {"question": f"q{n}", "choices": {"text": ["red", "green"], "label": labels}, "answerKey": gold}
        for n, (labels, gold) in enumerate([(["1", "2"], "2"), (["A", "B"], "A"), (["1", "2"], "1")])
    ]
    found = read_problems(str(write_rows(rows)), columns={"gold": "answerKey"}).problems
    assert [one.gold for one in found] == ["B", "A", "A"]


def test_what_cannot_be_a_problem_is_refused(write_rows: WriteRows) -> None:
    table = write_rows([{"question": "q", "options": list("abcdefghijkl"), "answer": "A"}], "many.jsonl")
    with pytest.raises(PoolError, match="row 0 has 12 options; at most 11"):
        read_problems(str(table))
    table = write_rows([{"question": "q", "answer": "A"}, {"question": " ", "answer": "A"}], "blank.jsonl")
    with pytest.raises(PoolError, match="row 1 asks nothing"):
        read_problems(str(table))
    with pytest.raises(UsageError, match="--columns is for tables of your own"):
        read_problems("aime24", columns={"gold": "answer"})


def test_roles_are_read_in_any_order_and_dress(grader: Grader, tmp_path: Path) -> None:
    gold = "Ann is a knight, Bob is a knave, and Cid is a knight."
    pl.DataFrame({"quiz": ["q"], "solution_text": [gold]}).write_parquet(tmp_path / "knights_knaves_3ppl.parquet")
    problems = read_problems("knights_knaves_3ppl", data=str(tmp_path)).problems
    right = "Ann is a knight, Bob is a knave, Cid is a knight"
    said = {
        r"\boxed{\text{Cid is a knight, Bob is a knave and Ann is a knight}}": right,
        r"\boxed{\text{Ann} = \text{knight}, \text{Bob} = \text{knave}, \text{Cid} = \text{knight}}": right,
        "<answer>\n(1) Ann is a knight\n(2) Bob is a knave\n(3) Cid is a knight\n</answer>": right,
        r"\boxed{\text{Ann: knave, Bob: knave, Cid: knight}}": right.replace("Ann is a knight", "Ann is a knave"),
        r"\boxed{\text{Ann and Cid are knights, Bob is a knave}}": right,
        r"\boxed{Knights: Ann, Cid; Knaves: Bob}": right,
        r"\boxed{\text{Ann is not a knight, Bob is a knave}}": r"\text{Ann is not a knight, Bob is a knave}",
        r"\boxed{\text{Ann is a knight}}": r"\text{Ann is a knight}",
    }
    concluded = conclusions("roles", problems, [list(said)], grader)
    found = concluded.results[0]
    assert found == list(said.values())
    assert grader.grade([(one, gold) for one in found[:6]]) == [True, True, True, False, True, True]
    assert {one for _, one in concluded.unclear} == set(found[6:])  # cannot be judged, so not taken for wrong


def test_every_benchmark_of_the_paper_is_read(shared: Path) -> None:
    folder = str(shared / "data/benchmarks")
    counts = {}
    for name in BENCHMARKS:
        found = read_problems(name, data=folder)
        counts[name] = found.rows
        known = [problem for problem in found.problems if problem.gold is not None]
        assert len(known) >= 0.98 * len(found.problems), name
        assert all(problem.question.strip() for problem in found.problems)
        if found.benchmark.form == "choice":
            assert all(problem.options for problem in found.problems)
    wanted = {name: one.problems for name, one in BENCHMARKS.items() if one.problems is not None}
    assert {name: counts[name] for name in wanted} == wanted
