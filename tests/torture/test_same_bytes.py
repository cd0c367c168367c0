"""The same pool, version and seed come to the same bytes: threads, hash seeds, place, engine; by its own command."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .commands import Command, contents, in_folder, write_pool
from .conftest import Tell

Often = Callable[[int, int], int]
WAYS = {  # how the same is computed
    "one thread": {"POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "1"},
    "two threads": {"POLARS_MAX_THREADS": "2", "RAYON_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
    "another place": {"PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo", "LC_ALL": "C", "COLUMNS": "40"},
}
COMMANDS = {
    "select": ("select", "../pool.jsonl", "--out", "out"),
    "select diverse": ("select", "../pool.jsonl", "--strategy", "diverse", "--seed", "3", "--out", "out"),
    "select column": ("select", "../pool.jsonl", "--difficulty", "column:hardness", "--rows", "77", "--out", "out"),
    "compare": ("compare", "../pool.jsonl", "--out", "out"),
    "analyze": ("analyze", "../pool.jsonl", "--out", "out"),
}


def cached(command: Command) -> dict[str, str]:
    return contents(command.folder / "cache", but=("files.json",))


def test_every_way(tmp_path: Path, often: Often, tell: Tell) -> None:
    write_pool(tmp_path / "pool.jsonl", often(1_500, 9_000))
    names, runs = list(COMMANDS)[: often(1, len(COMMANDS))], 0
    for name in names:
        of_all = {}
        for number, (way, env) in enumerate(WAYS.items()):
            command = in_folder(tmp_path / name / f"{number}", *COMMANDS[name], **env)
            (tmp_path / name / "pool.jsonl").unlink(missing_ok=True)
            shutil.copyfile(tmp_path / "pool.jsonl", tmp_path / name / "pool.jsonl")
            command.run()
            of_all[way] = (contents(command.out), cached(command))
            runs += 1
        first = of_all.pop("one thread")
        for way, found in of_all.items():
            assert found == first, (name, way)
    tell("the same bytes with 1 and 2 threads, hash seeds, time zone and locale", tried=runs, lost=0, commands=names)


def test_by_the_command_that_the_result_names(tmp_path: Path, often: Often, tell: Tell) -> None:
    pool = write_pool(tmp_path / "the pool's.jsonl", 800)
    asked = [
        (
            "select",
            pool.name,
            "--weight",
            "0.4",
            "--fraction",
            "0.07",
            "--keep",
            "looping,duplicate",
            "--out",
            "my out",
        ),
        *[("select", pool.name, *COMMANDS[name][2:]) for name in COMMANDS if name.startswith("select")],
    ][: often(1, 4)]
    for number, words in enumerate(asked):
        here = in_folder(tmp_path / f"here{number}", *words)
        shutil.copyfile(pool, here.folder / pool.name)
        here.run()
        manifest = json.loads((here.out / "manifest.json").read_text())
        program, *told = shlex.split(manifest["command"])
        assert program == "select2reason"
        page = html.unescape((here.out / "report.html").read_text())
        assert manifest["command"] in re.sub(r"<wbr/?>|</?[a-z][^>]*>", "", page)
        there = in_folder(tmp_path / f"there{number}" / "deeper", *told)
        shutil.copyfile(pool, there.folder / pool.name)
        there.run()
        assert contents(there.out) == contents(here.out)
    tell("the same bytes by the command in manifest.json", tried=len(asked), lost=0)


def test_by_ray(tmp_path: Path, often: Often, tell: Tell) -> None:
    if not (tries := often(0, 1)):
        pytest.skip("a minute long: make torture; tests/scoring/test_ray.py holds the short one")
    pytest.importorskip("ray", reason="needs ray")
    write_pool(tmp_path / "pool.jsonl", 9_000)
    here = in_folder(tmp_path / "here", "select", "../pool.jsonl", "--out", "out")
    here.run()
    there = in_folder(tmp_path / "there", "select", "../pool.jsonl", "--engine", "ray", "--out", "out")
    there.run()
    told = json.loads((there.out / "manifest.json").read_text())
    assert told.pop("command") == "select2reason select ../pool.jsonl --engine ray --out out"
    assert {name: value for name, value in told.items() if name != "outputs"} == {
        name: value
        for name, value in json.loads((here.out / "manifest.json").read_text()).items()
        if name not in ("command", "outputs")
    }
    named = ("manifest.json", "README.md", "report.html")  # they name the command
    assert contents(there.out, but=named) == contents(here.out, but=named)
    assert cached(there) == cached(here)
    tell("the same bytes by --engine ray, but for the command that is named", tried=tries, lost=0)
