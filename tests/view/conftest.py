"""Selections to look at: of the demo's pool, of a hostile pool, of real rows; each made once a session."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from select2reason import pipeline
from select2reason.demo import make_demo_pool
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings
from select2reason.view import Answers, Explored, Recorded, explore
from select2reason.view.guard import Guard
from select2reason.view.server import make_app

from ..conftest import SHARED

HOME = "http://127.0.0.1:8765"
LONG = 5_000_000  # characters of the hostile pool's longest trace
SCRIPT = "<script>window.hacked = 1</script>"
IMAGE = '<img src=x onerror="window.hacked = 2"> & <b onmouseover="window.hacked = 3">bold</b>'


@dataclass(frozen=True)
class Looked:
    """A selection, its pool's files, and the cache that it was made with."""

    folder: Path
    pools: Sequence[Path]
    cache: Path

    def open(self) -> Explored:
        return explore(self.folder, self.cache)


def select(folder: Path, pools: Sequence[Path], chosen: SelectSettings, options: str = "") -> Looked:
    """Select as the command line would, into folder/selection."""
    cache, out = folder / "cache", folder / "selection"
    words = ["select2reason", "select", *map(str, pools), "--cache-dir", str(cache), *shlex.split(options)]
    pipeline.select(
        PoolSettings(tuple(map(str, pools)), cache_dir=cache),
        ScoreSettings(),
        chosen,
        out,
        command=shlex.join([*words, "--out", str(out)]),
    )
    return Looked(out, pools, cache)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Looked:
    folder = tmp_path_factory.mktemp("demo")
    make_demo_pool(folder / "pool.jsonl", examples=600)
    return select(folder, [folder / "pool.jsonl"], SelectSettings())


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def client(demo: Looked, guard: Guard) -> Iterator[TestClient]:
    """A browser that was let in."""
    recorded = Recorded(tuple(map(str, demo.pools)), {"cache_dir": str(demo.cache)}, 10)
    with TestClient(make_app(Answers(demo.open()), recorded, guard), base_url=HOME) as client:
        assert client.get("/", params={"token": guard.entry}).status_code == 200
        yield client


@pytest.fixture(scope="session")
def real_traces(tmp_path_factory: pytest.TempPathFactory) -> Looked:
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared with real data, which is not here")
    names = ("limo_r1_distill_qwen32b", "math_train_thinking_models", "marco_o1_cot_demo")
    pools = [SHARED / "data" / "traces" / f"{name}.parquet" for name in names]
    return select(tmp_path_factory.mktemp("traces"), pools, SelectSettings(per_question=2), "--per-question 2")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Looked:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in hostile_rows()), encoding="utf-8")
    keep = ("looping", "cut_off", "no_answer", "wrong_answer", "language_switch", "runs_on", "over_cutoff", "duplicate")
    chosen = SelectSettings(rows=10, keep=(*keep, "damaged_tags"), per_question=0)
    return select(folder, [folder / "pool.jsonl"], chosen)


def hostile_rows() -> list[dict[str, str]]:
    """Rows that would run, hide, reorder or break something on a careless page."""
    words = "and so the sum of the parts is what it was before we began to look at it"
    texts = {
        "scripts": (
            f"What is {SCRIPT}?",
            f"{SCRIPT}\n\n{IMAGE}\n\n<a href='javascript:window.hacked=4'>here</a>",
            SCRIPT,
        ),
        "formulas": (
            r"Find $\href{javascript:window.hacked=5}{x}$ and $\htmlClass{a}{b}$.",
            r"$\frac{1}{2$ and $\undefined{}$ and $$\begin{align} x & = $$ and \[ never closed"
            r" and $\includegraphics{http://example.com/x.png}$ and $\text{<img src=x onerror=window.hacked=6>}$",
            r"\boxed{\frac{1}{}}",
        ),
        "directions": ("ما هو مجموع الأعداد \u202eabc\u202c؟", "لنبدأ \u2066hidden\u2069 \u202ereversed", "٤٢"),
        "terminal": ("\x1b[31mred\x1b[0m \x07bell", "\x1b]0;title\x07 \x1b[2J cleared\x00\x08", "\x1b[1m7"),
        "brackets": (
            "</textarea></title></style>-->",
            "]]> <!-- {{ write }} {% raw %} ${window.hacked = 7}",
            "</html>",
        ),
        "huge": ("How long is this?", f"{words}. " * (LONG // (len(words) + 2)), "long"),
        "many steps": (
            "How many steps are there?",
            "\n\n".join(f"Step {i}: {words} {i}." for i in range(1_000)),
            "1000",
        ),
        "one word": ("a" * 20_000, "b" * 20_000, "c" * 20_000),
    }
    return [
        {
            "question": question,
            "response": f"<think>\n{trace}\n</think>\n\n{answer}",
            "category": f"{SCRIPT}{name}\x1b[0m",
        }
        for name, (question, trace, answer) in texts.items()
    ]
