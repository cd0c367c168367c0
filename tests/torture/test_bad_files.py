"""Odd things where a pool is expected: links, pipes, devices, names, rights, files that change while they are read,
files that unpack to far more than they are, rows as long as a book."""

from __future__ import annotations

import gzip
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from select2reason import opening, readers
from select2reason.errors import PoolError
from select2reason.sources import SourceFile
from tests.reading import pool_of
from tests.torture import damage
from tests.torture.conftest import Tell
from tests.torture.processes import as_others, run
from tests.torture.reader import reader
from tests.torture.test_bad_input import figures

Often = Callable[[int, int], int]
GOOD = damage.lines(damage.layouts()["question-solution"])
ALPACA = damage.lines(damage.layouts()["alpaca"])


def link(path: Path, to: str) -> None:
    path.symlink_to(to)


def odd(folder: Path) -> dict[str, tuple[Path, int, str]]:
    """Name of the case: the pool, the exit code, and a part of what is told."""
    for name in ("loops", "pipes", "dead", "mixed", "empty", "one-empty", "bytes", "folder.jsonl"):
        (folder / name).mkdir()
    for name in ("loops", "pipes", "dead", "mixed", "one-empty"):
        (folder / name / "a.jsonl").write_bytes(GOOD)
    link(folder / "loops" / "self", ".")
    link(folder / "loops" / "up", "../loops")
    link(folder / "itself.jsonl", "itself.jsonl")
    os.mkfifo(folder / "pipe.jsonl")
    os.mkfifo(folder / "pipes" / "b.jsonl")
    link(folder / "dead" / "b.jsonl", "nowhere.jsonl")
    link(folder / "zero.jsonl", "/dev/zero")
    (folder / "mixed" / "b.jsonl").write_bytes(ALPACA)
    (folder / "one-empty" / "b.jsonl").touch()
    for name in ("line\nbreak.jsonl", "\x1b[31mred\x07.jsonl", "quote'\"$(x).jsonl", "-.jsonl"):
        (folder / name).write_bytes(GOOD)
    Path(os.fsdecode(os.fsencode(folder / "bytes") + b"/x\xff.jsonl")).write_bytes(GOOD)
    dots = folder / "mixed" / ".." / "mixed" / "a.jsonl"
    return {
        "folders that lead into themselves": (folder / "loops", 0, ""),
        "a link to itself": (folder / "itself.jsonl", 2, "leads nowhere"),
        "a pipe": (folder / "pipe.jsonl", 2, "pipe or a device"),
        "a pipe in a folder": (folder / "pipes", 2, "pipe or a device"),
        "a dead link in a folder": (folder / "dead", 2, "leads nowhere"),
        "a dead link in a glob": (folder / "dead" / "*.jsonl", 2, "leads nowhere"),
        "a device": (Path("/dev/zero"), 2, "pipe or a device"),
        "a link to a device": (folder / "zero.jsonl", 2, "pipe or a device"),
        "a file of /proc": (Path("/proc/self/mem"), 2, ""),
        "two layouts": (folder / "mixed", 0, "alpaca"),
        "no file": (folder / "empty", 2, "holds no JSONL"),
        "an empty file": (folder / "one-empty", 2, "is empty"),
        "a folder named as a file": (folder / "folder.jsonl", 2, "holds no JSONL"),
        "a line break in a name": (folder / "line\nbreak.jsonl", 0, ""),
        "what a terminal obeys in a name": (folder / "\x1b[31mred\x07.jsonl", 0, ""),
        "the same in what is not there": (folder / "\x1b[31mred\x07.jsonl.x", 2, "no such file"),
        "quotes in a name": (folder / "quote'\"$(x).jsonl", 0, ""),
        "a name of no text": (folder / "bytes", 2, "rename the file"),
        "..": (dots, 0, ""),
        "a name that is too long": (folder / ("a" * 300 + ".jsonl"), 2, "too long"),
    }


def test_odd_files_are_read_or_named(tmp_path: Path, tell: Tell) -> None:
    (tmp_path / "odd").mkdir()
    cases = odd(tmp_path / "odd")
    wrong = []
    with reader() as child:
        for name, (pool, code, part) in cases.items():
            answer = child.pool(name, [pool], tmp_path / "cache")
            if answer and (answer["code"] != code or part not in answer["told"] or "\x1b" in answer["told"]):
                wrong.append((name, answer))
        tell("links, pipes, devices, odd names", tried=child.tried, lost=len(child.lost + wrong))
    assert not child.lost and not wrong, "\n".join([*child.lost, *map(str, wrong)])


def test_without_rights_nothing_is_passed_over(tmp_path: Path) -> None:
    """A folder within the pool that may not be read is not simply missing from it."""
    shut = tmp_path / "pool" / "shut"
    shut.mkdir(parents=True)
    for file in (tmp_path / "pool" / "a.jsonl", shut / "b.jsonl"):
        file.write_bytes(GOOD)
    shut.chmod(0)
    try:
        done = run("select", tmp_path / "pool", "--out", tmp_path / "out", before=as_others)
    finally:
        shut.chmod(0o755)
    assert done.code == 2
    assert f"no permission to read {shut}" in done.error


# --- files that change ----------------------------------------------------------------------------------------------


def shorter(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(GOOD)


def other(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"see", b"SEE"))
    os.utime(path, (1, 1))


@pytest.mark.parametrize("name", ["pool.jsonl", "plain.parquet", "plain.stream.arrow", "plain.arrow"])
@pytest.mark.parametrize("change", [shorter, longer, other, Path.unlink])
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, name: str, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its digest was taken, as the first batch comes."""
    path = tmp_path / name
    path.write_bytes(GOOD if name.endswith("jsonl") else damage.table_files()[name])
    whole = pool_of(path, cache_dir=tmp_path / "other").rows
    reading, changed = readers.read, list[Path]()

    def changing(source: SourceFile, **how: Any) -> Iterator[readers.RawBatch]:
        for batch in reading(source, **how):
            if "batch_rows" not in how and not changed:
                change(source.path)
                changed.append(source.path)
            yield batch

    monkeypatch.setattr(readers, "_BATCH_ROWS", 8)
    monkeypatch.setattr(readers, "read", changing)
    before = path.read_bytes()
    with pytest.raises(PoolError, match=r"changed while it was read|cannot read"):
        pool_of(path, cache_dir=tmp_path / "cache")
    assert changed and not list((tmp_path / "cache").glob("pools/*"))
    monkeypatch.undo()
    path.write_bytes(before)
    assert pool_of(path, cache_dir=tmp_path / "cache").rows == whole


def test_a_file_that_is_written_meanwhile(tmp_path: Path, often: Often, tell: Tell) -> None:
    """A writer that never rests, beside the program: refused, or read as it was at one moment."""
    path, stop = tmp_path / "pool.jsonl", threading.Event()
    path.write_bytes(GOOD)

    def write() -> None:
        while not stop.wait(0.002):
            longer(path) if path.stat().st_size < 1 << 20 else path.write_bytes(GOOD)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with reader() as child:
            for number in range(often(20, 300)):
                child.pool(f"try {number}", [path], tmp_path / "cache")
            tell("a pool that is written while it is read", tried=child.tried, lost=len(child.lost), **figures(child))
    finally:
        stop.set()
        writer.join()
    assert not child.lost, "\n".join(child.lost)


def test_the_mark_of_a_file_is_taken_before_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD)
    marks = {"a": (path, opening._mark(path))}
    opening._refuse_changed(marks)
    longer(path)
    with pytest.raises(PoolError, match="a changed while it was read"):
        opening._refuse_changed(marks)


# --- far too much ---------------------------------------------------------------------------------------------------

MEMBER = 64 << 20
BOMBS = {
    "NUL.jsonl.gz": (b"\0", "longer than 256 MB", 600),
    "NUL.jsonl.zst": (b"\0", "longer than 256 MB", 600),
    "lines.jsonl.gz": (b"\n", "no readable row", 300),
    "spaces.json.gz": (b" ", "no readable row", 300),
    "brackets.json.gz": (b"[", "nested in more than", 300),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_unpacks_to_far_too_much_is_read_in_a_stream(tmp_path: Path, often: Often, tell: Tell, name: str) -> None:
    byte, part, most_mb = BOMBS[name]
    members = often(6, 160)
    member = byte * MEMBER
    packed = gzip.compress(member) if name.endswith("gz") else pa.compress(member, codec="zstd", asbytes=True)
    (tmp_path / name).write_bytes(packed * members)
    answer = one(tmp_path, "select", tmp_path / name, "--out", tmp_path / "out")
    tell(f"{members * MEMBER >> 20:,} MB packed in {name}", tried=1, lost=0, time_s=answer[1], peak_mb=answer[2])
    assert part in answer[0]
    assert answer[2] < most_mb


def one(folder: Path, *argv: str | Path, code: int = 2, limit_s: float = 300.0) -> tuple[str, float, int]:
    """A command in a process of its own: what it told, the seconds, its peak in MB."""
    with reader() as child:
        answer = child.run(
            argv[0] if isinstance(argv[0], str) else "", *argv, "--cache-dir", folder / "cache", limit_s=limit_s
        )
        assert not child.lost, "\n".join(child.lost)
    assert answer["code"] == code, answer["told"]
    return answer["told"], round(answer["time_s"], 1), answer["peak_bytes"] >> 20


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in KiB on Linux alone")
@pytest.mark.parametrize("form", ["line", "item", "parquet"])
def test_a_row_as_long_as_a_library(tmp_path: Path, often: Often, tell: Tell, form: str) -> None:
    """Held some times over, and never more: at 200 MB the whole of select stays under 3 GB."""
    size = often(8, 200) << 20
    chance = random.Random(0)
    words = ["wait", "so", "the", "sum", "of", "12", "and", "13", "is", "=", "x", "maybe", "again.\n\n", "however"]
    page = " ".join(chance.choices(words, k=200_000))
    row = {"question": "long", "response": "<think>" + (page * (size // len(page) + 1))[:size] + "</think>b"}
    rows = [*damage.layouts()["question-solution"][:30], row]
    path = tmp_path / f"pool.{'parquet' if form == 'parquet' else 'json'}"
    if form == "parquet":
        path.write_bytes(damage.parquet(pa.Table.from_pylist(rows)))
    else:
        data = damage.lines(rows)
        path.write_bytes(data if form == "line" else b"[" + data.strip().replace(b"\n", b",") + b"]")
    _, time_s, peak_mb = one(tmp_path, "select", path, "--out", tmp_path / "out", code=0)
    tell(f"a row of {size >> 20} MB: {form}", tried=1, lost=0, time_s=time_s, peak_mb=peak_mb)
    assert peak_mb < 600 + 13 * (size >> 20)
