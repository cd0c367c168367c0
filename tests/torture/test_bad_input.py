"""Damaged pools: whatever their bytes, the program says in one line what is wrong, or reads them and counts every row.

The law: exit code 0, 1 or 2; one line of error where it is not 0; no traceback and no dead process; no small file keeps
it for a minute or costs it a gigabyte; rows read = rows with an example + rows set aside.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.torture import damage
from tests.torture.conftest import Tell
from tests.torture.reader import MOST_BYTES, Reader, reader

Often = Callable[[int, int], int]
MOST_PAGE_BYTES = MOST_BYTES + (2 << 30)
"""With Parquet's largest page, of 2 GiB, which a damaged file may ask for."""
GOOD = b'{"question": "What is 1 + 1?", "response": "<think>Two.</think>2"}\n'
LINES = {
    "deep list": b'{"question": "q", "response": "r", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep object": b'{"question": "q", "response": "r", "x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    "deep, never closed": b"[" * 100_000,
    "as deep as is read": b'{"question": "q", "response": "r", "x": ' + b"[" * 900 + b"]" * 900 + b"}",
    "a long whole number, and deep": b'{"question": "q", "response": "r", "b": '
    + (b"9" * 400 + b', "x": ' + b"[" * 1_000 + b"]" * 1_000 + b"}"),
    "beyond all floats": b'{"question": "q", "response": "r", "x": 1e999}',
    "400 digits": b'{"question": "q", "response": "r", "x": ' + b"9" * 400 + b"}",
    "5,000 digits": b'{"question": "q", "response": "r", "x": ' + b"9" * 5_000 + b"}",
    "5,000 digits within": b'{"question": "q", "response": "r", "x": [' + b"9" * 5_000 + b"]}",
    "a gold answer of 5,000 digits": b'{"question": "q", "response": "r", "gold": ' + b"9" * 5_000 + b"}",
    "not a number": b'{"question": "q", "response": "r", "x": NaN}',
    "a lone surrogate": b'{"question": "q \\ud800", "response": "r"}',
    "NUL in texts": b'{"question": "q\\u0000", "response": "r\\u0000"}',
    "NUL in a key": b'{"question": "q", "response": "r", "a\\u0000": 1, "a\\\\u0000": 2}',
    "NUL bytes": bytes(100),
    "a key of white space": b'{"question": "q", "response": "r", "": 1, " ": 2, "a\\nb": 3, "../x": 4, "own:x": 5}',
    "a long key": b'{"question": "q", "response": "r", "' + b"k" * 100_000 + b'": 1}',
    "5,000 keys": orjson.dumps({"question": "q", "response": "r", **{f"k{n}": n for n in range(5_000)}}),
    "keys twice": b'{"question": "a", "question": "b", "response": "r", "response": null}',
    "invalid UTF-8": b'{"question": "q\xff", "response": "\xc0\x80"}',
    "no object": b'"question"',
    "null": b"null",
    "other types": b'{"question": [1, {"a": 2}], "response": {"a": [null]}}',
    "half a line": GOOD[: len(GOOD) // 2],
    "a BOM within": b"\xef\xbb\xbf" + GOOD.strip(),
}
FILES = {
    "CRLF": GOOD.replace(b"\n", b"\r\n") * 30,
    "CR alone": GOOD.replace(b"\n", b"\r") * 30,
    "two BOMs": b"\xef\xbb\xbf" * 2 + GOOD * 30,
    "UTF-16": (GOOD * 30).decode().encode("utf-16"),
    "empty": b"",
    "line ends": b"\n" * 100_000,
    "an array file": b"[" + b",".join([GOOD.strip()] * 30) + b"]",
    "an array, and more": b"[" + b",".join([GOOD.strip()] * 30) + b"] {",
    "an array with holes": b"[" + b",".join([GOOD.strip()] * 30) + b",,,]",
    "an array that breaks off": b"[" + b",".join([GOOD.strip()] * 30) + b',{"a": ]',
    "a deep array": b"[" * 100_000 + b"]" * 100_000,
    "an array without end": b"[" * 300_000,
    "nothing but null": b'{"question": null, "response": null}\n' * 30,
}


def put(folder: Path, data: bytes, name: str) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def rows_in(data: bytes) -> int:
    """Lines with something on them, counted without the program."""
    return sum(1 for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip())


def figures(child: Reader) -> dict[str, object]:
    """What is told of a test."""
    codes = {f"exit {code}": count for code, count in sorted(child.codes.items())}
    return {"slowest_s": round(child.slowest_s, 1), "peak_mb": child.peak_bytes >> 20, **codes}


def test_every_odd_line_is_read_or_set_aside(tmp_path: Path, often: Often, tell: Tell) -> None:
    wrong = []
    with reader() as child:
        for name, line in LINES.items():
            data = GOOD * 30 + line + b"\n" + GOOD
            answer = child.pool(name, [put(tmp_path, data, "pool.jsonl")], tmp_path / "cache")
            if answer and answer["code"] == 0 and answer["counts"]["read"] != 32:
                wrong.append((name, answer["counts"]))
        for name, line in LINES.items() if often(0, 1) else [("NUL in a key", LINES["NUL in a key"])]:
            pool = put(tmp_path, GOOD * 30 + line + b"\n", "pool.jsonl")
            child.run(f"select, {name}", "select", pool, "--out", tmp_path / "out", "--force", "--preset", "paper")
        tell("odd lines of JSON among good ones", tried=child.tried, lost=len(child.lost + wrong), **figures(child))
    assert not child.lost and not wrong, "\n".join([*child.lost, *map(str, wrong)])


def test_every_odd_file_is_read_or_refused(tmp_path: Path, tell: Tell) -> None:
    with reader() as child:
        for name, data in FILES.items():
            child.pool(name, [put(tmp_path, data, "pool.json")], tmp_path / "cache")
        tell("odd files of JSON", tried=child.tried, lost=len(child.lost), **figures(child))
    assert not child.lost, "\n".join(child.lost)
    assert child.codes.keys() == {0, 2}


def test_damaged_text_is_read_or_refused(tmp_path: Path, often: Often, tell: Tell) -> None:
    """Mutants of whole files; one that made the readers run a line that had not run before is hurt further."""
    chance = random.Random(0)
    corpus = list(damage.text_files().items())
    wrong = []
    kept, lines = 0, 0
    with reader(watched=True) as child:
        for number in range(often(150, 5_000)):
            name, data = chance.choice(corpus if chance.random() < 0.5 else corpus[-40:])
            hurt = damage.damaged(data, chance, text="packed" not in name)
            answer = child.pool(f"{number} {name}", [put(tmp_path, hurt, name)], tmp_path / "cache")
            if not answer:
                put(tmp_path.parent, hurt, f"lost-{number}-{name}")
                continue
            if answer["lines"]:
                kept, lines = kept + 1, lines + answer["lines"]
                corpus.append((name, hurt))
            plain = name.endswith(".jsonl") and not hurt.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
            if answer["code"] == 0 and plain and answer["counts"]["read"] != rows_in(hurt):
                wrong.append((name, answer["counts"], rows_in(hurt)))
        more = {"reached_new_lines": kept, "lines_reached": lines}
        told = figures(child) | more
        tell("damaged JSON Lines and arrays, packed or not", tried=child.tried, lost=len(child.lost + wrong), **told)
    assert not child.lost and not wrong, "\n".join([*child.lost, *map(str, wrong)])
    assert child.codes.keys() == {0, 2}
    assert child.peak_bytes < MOST_BYTES


def test_damaged_tables_are_read_or_refused(tmp_path: Path, often: Often, tell: Tell) -> None:
    chance = random.Random(0)
    corpus = list(damage.table_files().items())
    with reader() as child:
        for number in range(often(300, 8_000)):
            name, data = chance.choice(corpus)
            hurt = damage.damaged(data, chance, text=False)
            child.pool(f"{number} {name}", [put(tmp_path, hurt, name)], tmp_path / "cache")
        tell("damaged Parquet and Arrow files", tried=child.tried, lost=len(child.lost), **figures(child))
    assert not child.lost, "\n".join(child.lost)
    assert child.codes.keys() == {0, 2}
    assert child.peak_bytes < MOST_PAGE_BYTES


@pytest.mark.parametrize("name", ["plain.parquet", "bare.parquet", "many.parquet"])
def test_parquet_that_lies_about_its_rows_is_refused(tmp_path: Path, tell: Tell, name: str) -> None:
    rows = 40
    lying = damage.lying_about_rows(damage.table_files()[name], rows)
    with reader() as child:
        answers = [child.pool(name, [put(tmp_path, data, name)], tmp_path / "cache") for data in lying]
        tell(f"{name} that lies about its rows", tried=child.tried, lost=len(child.lost), **figures(child))
    assert lying and not child.lost
    assert {answer["code"] for answer in answers} == {2}
