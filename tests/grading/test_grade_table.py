r"""`grade` from file to file: every verdict by hand, whatever shape the columns have."""

from __future__ import annotations

from pathlib import Path

import orjson
import polars as pl
import pytest
from tests.conftest import WriteRows
from typer.testing import CliRunner

from select2reason.cli import whole_app
from select2reason.errors import OutputError, UsageError
from select2reason.grading.table import grade_table
from select2reason.tables import check_file, read_frame

ROWS = [
    {"said": r"So it is \boxed{\frac{1}{2}}.", "gold": "0.5"},
    {"said": "0.5", "gold": "Half of one.\n#### 1/2"},
    {"said": "7", "gold": "# 8"},
    {"said": "<think>7, I think. The answer is 7", "gold": "7"},
    {"said": None, "gold": "7"},
    {"said": " ", "gold": None},
    {"said": "yes", "gold": "proof"},
]


def test_every_verdict_by_hand(write_rows: WriteRows, tmp_path: Path) -> None:
    frame = read_frame([str(write_rows(ROWS))])
    grades = grade_table(frame, tmp_path / "out.parquet", prediction="said", gold="gold", workers=1)
    written = pl.read_parquet(tmp_path / "out.parquet")
    assert written["correct"].to_list() == [True, True, False, False, False, None, None]
    assert written.drop("correct").equals(frame)
    assert (grades.rows, grades.answers, grades.right, grades.wrong, grades.missing, grades.not_judged) == (
        (7, 7, 2, 3, 1, 2)
    )
    assert grades.share_right == pytest.approx(2 / 5)


def test_lists_of_generations_give_lists_of_verdicts(tmp_path: Path) -> None:
    frame = pl.DataFrame({"said": [[r"\boxed{4}", "5", None], [], None], "gold": [4, 5, 6], "correct": [1, 2, 3]})
    grades = grade_table(frame, tmp_path / "out.jsonl", prediction="said", gold="gold", workers=1)
    rows = [orjson.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert [row["correct"] for row in rows] == [[True, False, False], [], None]
    assert [row["correct_input"] for row in rows] == [1, 2, 3]
    assert (grades.rows, grades.without, grades.answers, grades.right, grades.wrong) == (3, 2, 3, 1, 2)
    assert grades.missing == 1


def test_what_cannot_be_graded_is_refused(tmp_path: Path) -> None:
    frame = pl.DataFrame({"said": ["4"], "gold": [["4"]], "who": [{"a": 1}]})
    for prediction, gold, told in (
        ("no", "said", "--prediction no: no such column; the table has said, gold, who"),
        ("said", "gold", "--gold gold: it holds lists"),
        ("who", "said", "--prediction who: it holds Struct"),
    ):
        with pytest.raises(UsageError, match=told):
            grade_table(frame, tmp_path / "out.jsonl", prediction=prediction, gold=gold)
    (tmp_path / "there.jsonl").touch()
    with pytest.raises(OutputError, match="exists"):
        grade_table(frame, tmp_path / "there.jsonl", prediction="said", gold="said")


def test_the_answer_that_was_taken_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    frame = pl.DataFrame({"said": [r"So \boxed{4}.", "5", "<think>5"], "gold": ["4", "4", "5"]})
    grade_table(frame, tmp_path / "out.parquet", prediction="said", gold="gold", taken="answer", workers=1)
    written = pl.read_parquet(tmp_path / "out.parquet")
    assert written["answer"].to_list() == ["4", "5", None]
    assert written["correct"].to_list() == [True, False, False]


@pytest.mark.parametrize("name", ["correct", "", " "])
def test_a_column_of_taken_answers_has_a_name_of_its_own(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame({"said": ["4"], "gold": ["4"]})
    with pytest.raises(UsageError, match="a name of its own"):
        grade_table(frame, tmp_path / "out.parquet", prediction="said", gold="gold", taken=name)
    assert not (tmp_path / "out.parquet").exists()


def test_a_box_in_words_is_no_marker(tmp_path: Path) -> None:
    frame = pl.DataFrame({"said": ["boxed", "crated"], "gold": ["boxed", "boxed"]})
    grades = grade_table(frame, tmp_path / "out.parquet", prediction="said", gold="gold", workers=1)
    assert (grades.right, grades.wrong) == (1, 1)


@pytest.mark.parametrize("name", ["qs", "qs/*.jsonl", "q*/one.jsonl", "qs/../qs/one.jsonl", "~/qs/one.jsonl"])
def test_no_table_takes_the_place_of_what_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "qs").mkdir()
    (tmp_path / "qs" / "one.jsonl").touch()
    with pytest.raises(OutputError, match="is a file that is read"):
        check_file(Path("qs/one.jsonl"), force=True, reads=[name])
    check_file(Path("qs/two.jsonl"), force=True, reads=[name])  # which is not there yet
    check_file(Path("qs/one.jsonl"), force=True, reads=["other", "a\0b", "~nobody9/x", "x" * 5_000])


@pytest.mark.parametrize(
    "unanswered",
    ["and then it follows. " * 16, r"So it is \boxed{}.", r"\boxed{}", "<think>5", "", None],
    ids=["prose", "an empty box", "only that", "still thought", "blank", "null"],
)
def test_what_says_no_answer_is_wrong_whatever_stands_in_it(unanswered: str | None, tmp_path: Path) -> None:
    frame = pl.DataFrame({"said": [unanswered], "gold": ["m"]}, schema={"said": pl.String, "gold": pl.String})
    grades = grade_table(frame, tmp_path / "out.parquet", prediction="said", gold="gold", taken="answer", workers=1)
    assert (grades.wrong, grades.not_judged) == (1, 0)
    assert not pl.read_parquet(tmp_path / "out.parquet")["answer"][0]


def test_a_file_that_lacks_a_column_is_named(write_rows: WriteRows, tmp_path: Path) -> None:
    files = [str(write_rows(ROWS[:2], "one.jsonl")), str(write_rows([{"other": 1}], "two.jsonl"))]
    told = CliRunner().invoke(
        whole_app(), ["grade", *files, "--prediction", "said", "--gold", "gold", "--out", "out.jsonl"]
    )
    assert isinstance(told.exception, UsageError)
    assert "two.jsonl has no such column; it has other" in str(told.exception)
    again = CliRunner().invoke(
        whole_app(), ["grade", files[0], "--prediction", "said", "--gold", "gold", "--out", files[0], "--force"]
    )
    assert isinstance(again.exception, OutputError) and "is a file that is read" in str(again.exception)


def test_the_command(write_rows: WriteRows, tmp_path: Path) -> None:
    table, out = write_rows(ROWS), tmp_path / "graded.jsonl"
    command = ["grade", str(table), "--prediction", "said", "--gold", "gold", "--out", str(out)]
    told = CliRunner().invoke(whole_app(), command)
    assert told.exit_code == 0, told.output
    assert "7 answers in 7 rows: 2 right (40.0% of those judged), 3 wrong (1 of them blank), 2 cannot be" in told.output
    assert str(out) in told.output
    again = CliRunner().invoke(whole_app(), [*command, "--force", "--json"])
    assert orjson.loads(again.stdout)["right"] == 2
