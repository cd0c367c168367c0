"""What other commands read, damaged: tables to be graded or judged, a benchmark's file, recipes, folders of selections
and of reward models. The law is that of test_bad_input.py."""

from __future__ import annotations

import json
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.torture import damage
from tests.torture.conftest import Tell
from tests.torture.reader import reader
from tests.torture.test_bad_input import FILES, LINES, figures

Often = Callable[[int, int], int]
ROWS = damage.layouts()["question-solution"]
RECIPE = b'name = "a"\n[select]\npool = ["nowhere.jsonl"]\nfraction = 0.5\n[variants.one]\nselect.strategy = "random"\n'
ODD = [
    *(
        b"",
        b"\xff",
        b"a = " + b"[" * 20_000,
        b"a = " + b"9" * 5_000,
        b"select = 1",
        b"variants = []",
        b"[variants]\na = 1",
    ),
    *(b"[select]\npool = 1", b"[select]\npool = []", b"[select]\npool = [[1]]", b"[select]\npool = {a = 'x'}"),
    *(b"[select]\npool = 'x'\nfraction = {a = 1}", b"[select]\npool = 'x'\n[evaluate]\nagainst = []\n[train]"),
    *(b"[select]\npool = 'x'\n'' = 1", b"[select]\npool = 'x'\nrows = '--help'", b"[select]\npool = '--version'"),
]


def bad_tables(folder: Path, chance: random.Random, count: int) -> Iterator[Path]:
    """Odd lines among good ones, odd files, and damaged ones of every format."""
    written = {f"line {name}": (damage.lines(ROWS) + line + b"\n", "a.jsonl") for name, line in LINES.items()}
    written |= {f"file {name}": (data, "a.json") for name, data in FILES.items()}
    whole = damage.text_files() | damage.table_files()
    written |= {name: (data, name) for name, data in whole.items()}
    picked = chance.sample(sorted(written), min(count, len(written)))
    picked += [chance.choice(sorted(whole)) for _ in range(count - len(picked))]
    for number, name in enumerate(picked):
        data, ending = written[name]
        hurt = name.startswith(("line ", "file "))
        path = folder / f"{number}.{ending}"
        text = ending.endswith((".json", ".jsonl"))
        path.write_bytes(data if hurt else damage.damaged(data, chance, text=text))
        yield path
        path.unlink()


@pytest.mark.parametrize("command", ["grade", "difficulty", "benchmark"])
def test_bad_tables(tmp_path: Path, often: Often, tell: Tell, command: str) -> None:
    pool = tmp_path / "good.jsonl"
    pool.write_bytes(damage.lines(ROWS))
    chance, out = random.Random(0), tmp_path / "out"
    options: dict[str, list[str | Path]] = {
        "grade": ["--prediction", "response", "--gold", "gold", "--workers", "1", "--out", tmp_path / "out.parquet"],
        "difficulty": ["--out", tmp_path / "out.jsonl"],
    }
    with reader() as child:
        for table in bad_tables(tmp_path, chance, often(30, 600)):
            if command == "benchmark":
                words: list[str | Path] = ["select", pool, "--benchmark-files", table, "--out", out]
            else:
                words = [command, table, *options[command]]
            child.run(f"{command} {table.name}", *words, "--force")
        tell(f"bad tables for {command}", tried=child.tried, lost=len(child.lost), **figures(child))
    assert not child.lost, "\n".join(child.lost)
    assert child.codes.keys() == {0, 2}


def test_bad_recipes(tmp_path: Path, often: Often, tell: Tell) -> None:
    chance, file = random.Random(0), tmp_path / "recipe.toml"
    with reader() as child:
        for number in range(often(60, 1_500)):
            file.write_bytes(ODD[number] if number < len(ODD) else damage.damaged(RECIPE, chance, text=True))
            child.run(f"recipe {number}: {file.read_bytes()[:80]!r}", "run", file, "--out", tmp_path / "out")
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
        tell("bad recipes", tried=child.tried, lost=len(child.lost), **figures(child))
    assert not child.lost, "\n".join(child.lost)
    assert 2 in child.codes


VALUES = [None, 0, -1, 1e300, "", "x", [], [1], {}, {"a": 1}, True]


def hurt_manifest(text: bytes, chance: random.Random) -> bytes:
    """One value of a manifest replaced or gone, or the bytes themselves damaged."""
    if chance.random() < 0.3:
        return damage.damaged(text, chance, text=True)
    held = json.loads(text)
    inner, key = held, chance.choice(sorted(held))
    while isinstance(inner[key], dict) and inner[key] and chance.random() < 0.6:
        inner, key = inner[key], chance.choice(sorted(inner[key]))
    if chance.random() < 0.3:
        del inner[key]
    else:
        inner[key] = chance.choice(VALUES)
    return json.dumps(held).encode()


def hurt_folder(folder: Path, chance: random.Random) -> str:
    """Damage one file of a folder; what was done."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".html", ".md"))
    file = folder / "manifest.json" if chance.random() < 0.5 else chance.choice(files)
    data = file.read_bytes()
    match chance.randrange(6):
        case 0:
            file.unlink()
        case 1:
            file.write_bytes(b"")
        case 2:
            file.unlink()
            file.mkdir()
        case _ if file.suffix == ".json":
            file.write_bytes(hurt_manifest(data, chance))
        case _:
            file.write_bytes(damage.damaged(data, chance, text=False))
    return file.name


def test_damaged_selections(tmp_path: Path, often: Often, tell: Tell) -> None:
    pool, whole, hurt, out = (tmp_path / name for name in ("pool.jsonl", "whole", "hurt", "out"))
    pool.write_bytes(damage.lines(ROWS))
    chance = random.Random(0)
    with reader() as child, socket.create_server(("127.0.0.1", 0)) as held:
        taken = held.getsockname()[1]  # so that `view` ends where it would begin to serve
        assert child.run("whole", "select", pool, "--out", whole, "--rows", "5")["code"] == 0
        for number in range(often(40, 1_000)):
            shutil.copytree(whole, hurt)
            name = hurt_folder(hurt, chance)
            commands: list[tuple[str, list[str | Path]]] = [
                ("export", ["export", hurt, "--to", "sharegpt", "--out", out]),
                ("export", ["export", hurt, "--to", "llamafactory", "--out", out]),
                ("train", ["train", hurt, "--model", tmp_path / "no-model", "--out", out]),
                ("view", ["view", hurt, "--no-browser", "--port", str(taken)]),
                ("select --force", ["select", pool, "--rows", "5", "--out", hurt, "--force"]),
            ]
            command, words = chance.choice(commands)
            child.run(f"{number} {command}, {name} damaged", *words)
            for folder in (hurt, out):
                shutil.rmtree(folder, ignore_errors=True)
        tell(
            "damaged selections opened by export, train, view, select",
            tried=child.tried,
            lost=len(child.lost),
            **figures(child),
        )
    assert not child.lost, "\n".join(child.lost)
    assert {0, 2} <= child.codes.keys()


def test_damaged_reward_models(tmp_path: Path, often: Often, tell: Tell) -> None:
    table, whole, hurt = tmp_path / "table.jsonl", tmp_path / "whole", tmp_path / "hurt"
    chance = random.Random(0)
    rates = [{"question": f"What is {n} times {n % 7}?", "pass_rate": (n % 10) / 10} for n in range(300)]
    table.write_bytes(damage.lines(rates))
    with reader() as child:
        fitted = child.run("fit", "reward", "fit", table, "--out", whole)
        assert fitted["code"] == 0, fitted
        for number in range(often(25, 400)):
            shutil.copytree(whole, hurt)
            name = hurt_reward(hurt, chance)
            child.run(f"{number} {name} damaged", "reward", "eval", hurt, table)
            shutil.rmtree(hurt)
        tell("damaged reward models, evaluated", tried=child.tried, lost=len(child.lost), **figures(child))
    assert not child.lost, "\n".join(child.lost)
    assert 2 in child.codes


def hurt_reward(folder: Path, chance: random.Random) -> str:
    file = chance.choice(sorted(folder.iterdir()))
    data = file.read_bytes()
    hurt = hurt_manifest(data, chance) if file.suffix == ".json" else damage.damaged(data, chance, text=False)
    file.write_bytes(chance.choice([b"", hurt, hurt, hurt]))
    return file.name
