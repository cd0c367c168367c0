"""Tables of questions: what asks, what is gold, what is refused, and nothing lost on the way."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from select2reason.canonical import canonical
from select2reason.errors import OutputError, PoolError, UsageError
from select2reason.layouts import detect
from select2reason.tables import check_file, read_table, write_table

from .conftest import WriteRows


def test_question_and_gold_are_found_by_their_names(write_rows: WriteRows) -> None:
    table = read_table(
        [str(write_rows([{"problem": "2+2?", "answer": 4, "id": 7}, {"problem": None, "answer": None}]))]
    )
    assert table.question.to_list() == ["2+2?", None]
    assert table.gold.to_list() == ["4", None]
    assert table.frame.columns == ["problem", "answer", "id"]


def test_columns_name_what_cannot_be_found(write_rows: WriteRows) -> None:
    file = str(write_rows([{"q": "why?", "g": "so", "question": "other"}]))
    table = read_table([file], columns={"question": "q", "gold": "g"})
    assert (table.question.to_list(), table.gold.to_list()) == (["why?"], ["so"])
    with pytest.raises(UsageError, match="no column nope for gold"):
        read_table([file], columns={"gold": "nope"})
    with pytest.raises(UsageError, match="knows no role response here"):
        read_table([file], columns={"response": "g"})


def test_alpacas_question_has_two_parts(write_rows: WriteRows) -> None:
    rows = [{"instruction": "Add.", "input": "2 and 2"}, {"instruction": "Why?", "input": ""}]
    assert read_table([str(write_rows(rows))]).question.to_list() == ["Add.\n2 and 2", "Why?"]


def test_a_question_is_the_same_text_in_a_table_and_in_a_pool(write_rows: WriteRows) -> None:
    rows = [
        {"instruction": "Why?\n", "input": "", "output": "So.", "answer": ["2"]},
        {"instruction": "Why?", "input": "  ", "output": "So.", "answer": ["3"]},
    ]
    table, pool = read_table([str(write_rows(rows))]), canonical(detect(pl.DataFrame(rows)), pl.DataFrame(rows))
    assert table.question.to_list() == pool["question"].to_list() == ["Why?\n", "Why?"]
    assert table.gold.to_list() == pool["gold"].to_list() == ["2", "3"]


def test_a_pool_of_chats_has_its_questions_from_its_layout(write_rows: WriteRows) -> None:
    chat = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
    table = read_table([str(write_rows([{"messages": chat}, {"messages": chat}]))])
    assert table.question.to_list() == ["2+2?", "2+2?"]
    assert table.asking == ("messages",)


def test_several_files_stand_below_one_another(write_rows: WriteRows) -> None:
    names = [str(write_rows([{"question": name, name: 1}], f"{name}.jsonl")) for name in "ab"]
    table = read_table(names)
    assert table.question.to_list() == ["a", "b"]
    assert table.frame["b"].to_list() == [None, 1]


def test_files_that_ask_in_other_columns_are_refused(write_rows: WriteRows) -> None:
    asked = str(write_rows([{"question": "2+2?", "id": 1}], "asked.jsonl"))
    posed = str(write_rows([{"problem": "3+3?", "id": 2}], "posed.jsonl"))
    chat = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
    chats = str(write_rows([{"messages": chat}], "chats.jsonl"))
    for both in ([asked, posed], [posed, asked]):
        with pytest.raises(PoolError, match=r"stand in question, and .*posed.jsonl has .* it has problem, id; give"):
            read_table(both)
    with pytest.raises(PoolError, match=r"stand in question, and .*chats.jsonl has no such column"):
        read_table([asked, chats])
    with pytest.raises(PoolError, match=r"stand in id, and .*chats.jsonl has no such column"):
        read_table([asked, posed, chats], columns={"question": "id"})


def test_a_row_that_cannot_be_read_stops_it(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"question": "a"}\n{"question": \n')
    with pytest.raises(PoolError, match=r"line 2 cannot be read .* mend it or leave it out"):
        read_table([str(tmp_path / "t.jsonl")])


def test_labels_are_numbers_or_refused(write_rows: WriteRows) -> None:
    table = read_table(
        [str(write_rows([{"question": "a", "n": "0.5", "w": "x"}, {"question": "b", "n": "?", "w": "y"}]))]
    )
    assert table.column("n", "--labels").to_list() == [0.5, None]
    with pytest.raises(UsageError, match="--labels w: it holds no finite number"):
        table.column("w", "--labels")
    with pytest.raises(UsageError, match="--labels z: no such column; the table has question, n, w"):
        table.column("z", "--labels")


def test_files_are_written_whole_and_never_over_another(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1, None]})
    for name in ("t.parquet", "t.jsonl"):
        check_file(tmp_path / name, force=False)
        write_table(frame, tmp_path / name)
        with pytest.raises(OutputError, match="replace it with --force"):
            check_file(tmp_path / name, force=False)
        check_file(tmp_path / name, force=True)
    assert pl.read_parquet(tmp_path / "t.parquet").equals(frame)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.jsonl", "t.parquet"]
    for wrong, words in ((tmp_path / "t.csv", "no .parquet or .jsonl"), (tmp_path / "x" / "t.jsonl", "no folder")):
        with pytest.raises(OutputError, match=words):
            check_file(wrong, force=False)
