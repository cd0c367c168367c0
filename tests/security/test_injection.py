"""Texts and names of others in what the program writes for people: terminals, pages, cards, tables, configurations.

Hostile are the rows, the columns, the categories and the name of the file; nothing of them may act anywhere.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import orjson
import polars as pl
import pytest
import yaml

from select2reason.errors import UsageError
from select2reason.export import configurations
from select2reason.progress import fail, say
from select2reason.signs import escaped, in_code, in_prose, on_a_line, visible

ESCAPES = "\x1b[31mred\x1b]0;title\x07\x9b2J\x08\r\u202e\x7f"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
FRONT = "x\n---\nlicense: mit\n---\n| a | b |\n```\n# title [link](javascript:alert(1))"
FORMULA = '=HYPERLINK("http://evil","x")'
NAME = "[bold]p\x1b[2J\\[red]`<img src=x>`\n---\nlicense: mit\n\x9b|x.jsonl"
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def run(words: Sequence[str], folder: Path) -> tuple[int, str, str]:
    """A command's code, what it printed, and what it said."""
    command = [sys.executable, "-m", "select2reason", *words]
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is all hostile; three of its rows cannot be read."""
    texts = (ESCAPES, MARKUP, FRONT, FORMULA)
    rows = [
        {
            "question": f"{text} What is {n}?",
            "response": f"<think>\n{text} {n}\n</think>\n\n{text}",
            "category": text,
            f"own {text}": text,
        }
        for n, text in enumerate(texts * 3)
    ]
    bad = [f'{{"question": "{MARKUP}', '["\\u001b[2J"]', f"{ESCAPES[:6]}"]
    file = tmp_path_factory.mktemp("hostile") / NAME
    file.write_bytes(b"\n".join([*map(orjson.dumps, rows), *(line.encode() for line in bad)]) + b"\n")
    return file


@pytest.fixture(scope="module")
def selected(pool: Path) -> tuple[Path, str]:
    """A selection of it by the command, with all that the command said."""
    folder = pool.parent
    words = [pool.name, "--preset", "paper", "--rows", "9", "--max-bad-fraction", "0.5", "--out", "out"]
    code, printed, said = run(["select", *words, "--cache-dir", "cache"], folder)
    assert code == 0, said
    return folder / "out", printed + said


def test_a_terminal_is_told_and_never_moved(selected: tuple[Path, str], pool: Path) -> None:
    _, said = selected
    assert not ACTING.search(said)
    assert not [line for line in said.splitlines() if line.strip() in ("---", "license: mit")]
    for words in (
        ["cache"],
        ["analyze", NAME, "--out", "an", "--max-bad-fraction", "0.5"],
        ["select", NAME, "--out", "o"],
    ):
        code, printed, said = run([*words, "--cache-dir", "cache"], pool.parent)
        assert not ACTING.search(printed + said), words
    assert code == 2  # too many rows of it are bad: the message names the file and the first of them
    assert "␛" in said and said.count("\n") == said.count("error:") + said.count("layout:") + said.count("reading")


@pytest.mark.parametrize("name", ["\x1b[2Jgone.jsonl", "\\[/b]\\[bold]gone", "[/]", "a\nwrote\n  b", "\u202egone"])
def test_an_error_is_one_line_whatever_it_names(name: str, tmp_path: Path) -> None:
    """Brackets after a backslash were markup to the terminal's library: an error about one ended in a traceback."""
    code, printed, said = run(["select", name, "--out", "o"], tmp_path)
    assert (code, printed) == (2, "")
    assert said.startswith("error: ") and said.count("\n") == 1
    assert not ACTING.search(said)


def test_machines_are_told_the_same_without_a_sign_that_acts(pool: Path) -> None:
    words = [pool.name, "--preset", "paper", "--rows", "9", "--max-bad-fraction", "0.5", "--out", f"o{ESCAPES[:4]}\x9b"]
    code, printed, said = run(["select", *words, "--json", "--cache-dir", "cache"], pool.parent)
    assert code == 0, said
    assert not ACTING.search(printed)
    assert orjson.loads(printed)["out"] == words[-1]


def test_the_card_s_front_matter_is_our_own(selected: tuple[Path, str]) -> None:
    card = (selected[0] / "README.md").read_text(encoding="utf-8")
    _, front, body = card.split("---\n", 2)
    assert set(yaml.safe_load(front)) == {"configs", "tags"}
    assert "license" not in front and not re.search(r"(?m)^(---|license: mit)$", body.split("## Make it again")[0])
    assert not ACTING.search(card)
    spans = re.sub(r"```\n.*?\n```|`[^`\n]*`", "", body, flags=re.DOTALL)
    assert "<img" not in spans and "<script" not in spans
    assert body.count("```") == 2


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.acts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.acts += [
            f"{tag} {name}" for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")
        ]


def test_the_report_s_markup_is_our_own(selected: tuple[Path, str]) -> None:
    text = (selected[0] / "report.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert page.acts == [] and not page.tags & {"script", "img", "iframe", "object", "embed", "form", "link", "base"}
    assert "&lt;script&gt;alert(2)" in text  # it is there, as text
    assert not ACTING.search(text)


def test_no_table_for_spreadsheets_is_written(selected: tuple[Path, str]) -> None:
    """A formula in a cell acts where a CSV is opened: there is none, here or in the program's source."""
    import select2reason

    kinds = {file.suffix for file in selected[0].rglob("*") if file.is_file()}
    assert kinds == {".parquet", ".md", ".json", ".html", ".jsonl"}
    source = Path(select2reason.__file__).parent
    assert not [file for file in source.rglob("*.py") if re.search(r"write_csv|csv\.writer|to_csv", file.read_text())]


def test_what_could_not_be_read_is_json_and_no_more(selected: tuple[Path, str]) -> None:
    lines = (selected[0] / "quarantine.jsonl").read_bytes().splitlines()
    assert len(lines) == 3
    for line in lines:
        assert {"source_file", "source_row", "reason", "head"} <= set(orjson.loads(line))
        assert b"\x1b" not in line and b"\x07" not in line


def test_a_column_whose_name_would_end_the_program_is_written_as_json_spells_it(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_bytes(orjson.dumps({"question": "q", "response": "r", "a\0b": "x"}) + b"\n")
    code, _, said = run(["select", "p.jsonl", "--preset", "paper", "--out", "o"], tmp_path)
    assert code == 0, said
    chosen = pl.read_parquet(tmp_path / "o" / "data" / "*.parquet")
    assert chosen["a\\u0000b"].to_list() == ["x"]


def test_a_hostile_selection_s_manifest_writes_no_configuration() -> None:
    """What an export takes from a manifest is numbers, and names in prose."""
    text = configurations.llamafactory("m\nevil: true", "qwen", 16_384, "")
    assert yaml.safe_load(text)["model_name_or_path"] == "m\nevil: true"
    assert "evil" not in yaml.safe_load(text)


def test_a_note_of_hostile_names_is_prose() -> None:
    hostile = f"{NAME} {MARKUP} {FRONT}"
    assert in_prose(hostile).count("\n") == 0
    assert not re.search(r"(?<!\\)[`<\[|&]", in_prose(hostile))
    assert "`" not in in_code(hostile) and "\n" not in in_code(hostile)
    assert in_prose("3 < 4 \\< 5") == "3 \\< 4 \\\\\\< 5"
    assert in_prose("of 1,234 rows; wrong_answer, --keep cut_off") == "of 1,234 rows; wrong_answer, --keep cut_off"


def test_signs(capsys: pytest.CaptureFixture[str]) -> None:
    assert visible("a\x1b[1m\tb\r\nc\u202e\x9b") == "a␛[1m\tb\nc⟦U+202E⟧⟦U+009B⟧"
    assert on_a_line("a\nb") == "a␊b"
    assert orjson.loads(escaped('"a\x9b\u202e\x7f"')) == "a\x9b\u202e\x7f"
    say("\nname: [bold]x[/] \\[/b] \x1b[2J\nwrote")
    fail(UsageError("no [/b] \\[/b] \x1b[2J\nin it"))
    assert capsys.readouterr().err == "\nname: [bold]x[/] \\[/b] ␛[2J␊wrote\nerror: no [/b] \\[/b] ␛[2J in it\n"
