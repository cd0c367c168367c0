"""A selection put on the Hub: a stand-in server on loopback takes what the Hub's client sends, file by file."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from select2reason.pipeline import select
from select2reason.settings import PoolSettings, ScoreSettings, SelectSettings

from .conftest import WriteRows


@dataclass
class Hub:
    """What the stand-in was asked for, and what it holds: `files` by path; `refuses` makes it say no."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    made: list[dict[str, Any]] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)  # large files, by their SHA-256
    refuses: bool = False


class Handler(http.server.BaseHTTPRequestHandler):
    """The calls that the client makes to look at a dataset, make it, and commit to it."""

    held: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        files = self.held.files
        if "/tree/" in self.path:
            oids = {path: hashlib.sha1(content).hexdigest() for path, content in files.items()}
            self._answer([{"type": "file", "path": p, "oid": oids[p], "size": len(files[p])} for p in files])
        else:
            siblings = [{"rfilename": name} for name in files]
            self._answer({"id": "me/best", "sha": "0" * 40, "private": True, "tags": [], "siblings": siblings})

    def do_PUT(self) -> None:
        content = self._body()
        self.held.stored[hashlib.sha256(content).hexdigest()] = content
        self._answer({})

    def do_POST(self) -> None:
        held, body = self.held, self._body()
        if held.refuses:
            self._answer({"error": "You don't have the rights to create a dataset"}, 403)
        elif self.path == "/api/repos/create":
            held.made.append(json.loads(body))
            self._answer({"url": f"{held.url}/datasets/me/best"})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            self._answer({"files": [_mode(file) for file in json.loads(body)["files"]]})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            placed = [one | {"actions": {"upload": {"href": f"{held.url}/store/{one['oid']}"}}} for one in objects]
            self._answer({"transfer": "basic", "objects": placed})
        elif "/commit/" in self.path:
            _commit(held, body)
            self._answer({"commitUrl": f"{held.url}/datasets/me/best/commit/{'1' * 40}", "commitOid": "1" * 40})
        else:
            self._answer({"error": self.path}, 404)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def _answer(self, value: object, code: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    held = Hub(files={"data/train-00007-of-00009.parquet": b"of an earlier, larger selection", "notes.txt": b"mine"})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"held": held}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    held.url = f"http://127.0.0.1:{server.server_port}"
    yield held
    server.shutdown()
    server.server_close()


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    large = file["path"].endswith(".parquet")
    return {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}


def _commit(held: Hub, body: bytes) -> None:
    for line in map(json.loads, body.splitlines()):
        value = line["value"]
        if line["key"] == "file":
            held.files[value["path"]] = base64.b64decode(value["content"])
        elif line["key"] == "lfsFile":
            held.files[value["path"]] = held.stored[value["oid"]]
        elif line["key"] == "deletedFile":
            del held.files[value["path"]]


@pytest.fixture
def selection(write_rows: WriteRows, tmp_path: Path) -> Path:
    rows = [{"question": f"What is {n}?", "response": f"It is {n}. " * 9, "hard": n} for n in range(20)]
    pool = PoolSettings((str(write_rows([*rows, {"question": 7}])),))
    select(pool, ScoreSettings(difficulty="column:hard"), SelectSettings(rows=5, preset="paper"), tmp_path / "best")
    return tmp_path / "best"


def export(hub: Hub, selection: Path, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the Hub's client reads its endpoint when it is imported."""
    env = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "select2reason", "export", str(selection), "--to", "hub", "--repo", *words]
    return subprocess.run(command, env={"PATH": "/usr/bin", **env}, capture_output=True, text=True, check=False)


def test_the_dataset_is_there_with_its_card_and_nothing_unread(hub: Hub, selection: Path, tmp_path: Path) -> None:
    done = export(hub, selection, tmp_path, "me/best")
    assert done.returncode == 0, done.stderr
    assert f"5 examples are at {hub.url}/datasets/me/best, private" in done.stdout
    assert hub.made[0]["visibility"] == "private"
    sent = {
        path.relative_to(selection).as_posix(): path.read_bytes() for path in selection.rglob("*") if path.is_file()
    }
    del sent["quarantine.jsonl"]
    assert hub.files == sent | {"notes.txt": b"mine"}
    assert hub.files["README.md"].startswith(b"---\nconfigs:")


def test_it_is_public_only_when_that_is_said(hub: Hub, selection: Path, tmp_path: Path) -> None:
    done = export(hub, selection, tmp_path, "me/best", "--public", "--json")
    assert hub.made[0]["visibility"] == "public"
    assert json.loads(done.stdout)["commit"] == "1" * 40


def test_what_the_hub_refuses_is_one_line(hub: Hub, selection: Path, tmp_path: Path) -> None:
    hub.refuses = True
    done = export(hub, selection, tmp_path, "me/best")
    assert done.returncode == 1
    assert "cannot upload to me/best" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_is_none_is_not_asked_for(hub: Hub, selection: Path, tmp_path: Path) -> None:
    done = export(hub, selection, tmp_path, "best")
    assert done.returncode == 2
    assert "it is owner/name" in done.stderr
    assert not hub.made
