"""Datasets of the Hub, from a stand-in server on loopback that speaks the calls the Hub's client makes."""

from __future__ import annotations

import hashlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from select2reason.hub import is_hub_id

CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: data/test-*
- config_name: extended
  data_files: extra/*.jsonl
---
A dataset.
"""


def rows(name: str) -> bytes:
    return b"".join(
        orjson.dumps({"question": f"{name} {n}?", "response": f"So {n}.", "hard": n}) + b"\n" for n in range(4)
    )


FILES = {
    "README.md": CARD.encode(),
    "data/train-00000-of-00002.jsonl": rows("first"),
    "data/train-00001-of-00002.jsonl": rows("second"),
    "data/test-00000-of-00001.jsonl": rows("test"),
    "extra/more.jsonl": rows("extra"),
}


class Handler(http.server.BaseHTTPRequestHandler):
    """A tiny Hub: the tree of org/pool, and its files by name."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/datasets/org/pool/tree/"):
            tree = [{"type": "file", "path": p, "oid": sha(c), "size": len(c)} for p, c in FILES.items()]
            self.answer(200, json.dumps(tree).encode())
        elif path.startswith("/api/datasets/org/pool"):
            siblings = [{"rfilename": name} for name in FILES]
            about = {
                "id": "org/pool",
                "sha": "0" * 40,
                "siblings": siblings,
                "private": False,
                "tags": [],
                "downloads": 0,
            }
            self.answer(200, json.dumps(about).encode())
        elif path.startswith("/datasets/org/pool/resolve/"):
            name = path.split("/", 6)[6]
            self.answer(200 if name in FILES else 404, FILES.get(name, b""))
        else:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        common = {"Content-Length": str(len(body)), "ETag": f'"{sha(body)}"', "X-Repo-Commit": "0" * 40}
        for name, value in (common | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


def sha(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def select(endpoint: str, tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the Hub's client reads its endpoint when it is imported."""
    env = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "SELECT2REASON_CACHE": str(tmp_path / "cache")}
    common = ["--difficulty", "column:hard", "--fraction", "1", "--json", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "select2reason", "select", *args, *common]
    return subprocess.run(command, env={"PATH": "/usr/bin", **env}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("args", "files"),
    [
        ([], ["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"]),
        (["--split", "test"], ["data/test-00000-of-00001.jsonl"]),
        (["--config", "extended"], ["extra/more.jsonl"]),
    ],
)
def test_the_card_says_which_files_are_meant(args: list[str], files: list[str], endpoint: str, tmp_path: Path) -> None:
    done = select(endpoint, tmp_path, "org/pool", *args)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [source["path"] for source in manifest["pool"]["sources"]] == [f"org/pool/{name}" for name in files]
    assert json.loads(done.stdout)["pool_rows"] == 4 * len(files)


def test_a_misspelt_file_is_never_asked_for_on_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert [name for name in ("data/pool", "org/pool.jsonl", "./pool", "a/b/c", "pool") if is_hub_id(name)] == []
    assert is_hub_id("open-r1/OpenR1-Math-220k")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["org/pool", "--config", "nope"], "no config nope; --config can be default, extended"),
        (["org/pool", "--split", "nope"], "no data file for config default, split nope"),
        (["org/nothing"], "cannot fetch org/nothing from the Hub"),
    ],
)
def test_what_the_hub_has_not_is_one_line(args: list[str], message: str, endpoint: str, tmp_path: Path) -> None:
    done = select(endpoint, tmp_path, *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
