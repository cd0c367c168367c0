"""A key is read from the environment and goes to the server alone: into no file, no message, no result.

The server here says the key back in all that it says: in answers, in refusals, in errors.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from select2reason.backends import BackendSettings, check_address, open_backend
from select2reason.backends.base import Sampling
from select2reason.cli.options import command_line
from select2reason.errors import RunError, Select2ReasonError, UsageError

from ..conftest import WriteRows
from ..loopback import Reply, listed, said, serving

pytest.importorskip("openai")
KEY = "sk-distinctive-0123456789abcdef"
SECRET = "hunter2hunter2"
ASKED = [{"role": "user", "content": "What is 2 + 2?"}]


def telling(path: str, body: Mapping[str, Any], number: int) -> Reply:
    """A server that works, and says the key wherever it can; its first reply is an error."""
    if not path.endswith("/chat/completions"):
        return Reply({"error": {"message": f"no such path for {KEY}"}}, 404)
    if number == 1:
        return Reply({"error": {"message": f"busy; you are {KEY}"}}, 503, {"retry-after": "0"})
    if body.get("logprobs"):
        return Reply(listed({"1": -0.1, "0": -2.5, KEY: -9.0}, KEY))
    return Reply(said(f"You are {KEY}. \\boxed{{4}}", reasoning_content=f"the key is {KEY}"))


def run(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"OPENAI_API_KEY": KEY, "OPENAI_LOG": "debug"}
    command = [sys.executable, "-m", "select2reason", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)


def holding(secret: str, folder: Path) -> list[Path]:
    """The files below a folder that hold it, Parquet unpacked as well."""
    import polars as pl

    found = [file for file in folder.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
    tables = [file for file in folder.rglob("*.parquet") if file.is_file()]
    return found + [file for file in tables if secret in str(pl.read_parquet(file).to_dicts())]


@pytest.fixture
def questions(write_rows: WriteRows) -> Path:
    rows = [{"question": f"What is {n} + {4 - n}?", "answer": "4", "response": f"It is {n}, so 4."} for n in range(3)]
    return write_rows(rows, "q.jsonl")


COMMANDS = {
    "rollout": ["rollout", "q.jsonl", "-n", "2", "--columns", "gold=answer", "--out", "rolled", "--json"],
    "evaluate": ["evaluate", "--benchmarks", "q.jsonl", "--columns", "gold=answer", "--out", "evaluated", "--json"],
    "difficulty": ["difficulty", "q.jsonl", "--difficulty", "judge", "--out", "judged.parquet"],
    "select": ["select", "q.jsonl", "--difficulty", "judge", "--preset", "paper", "--rows", "1", "--out", "chosen"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_writes_or_says_its_key(command: str, questions: Path) -> None:
    with serving(telling) as server:
        done = run([*COMMANDS[command], "--model", "m", "--base-url", server.url], questions.parent)
    assert done.returncode == 0, done.stderr.decode()
    assert f"Bearer {KEY}" in server.keys  # it was sent, and in all that came back
    assert KEY.encode() not in done.stdout + done.stderr
    assert holding(KEY, questions.parent) == []
    if command == "rollout":
        assert holding("You are [key]. ", questions.parent) != []  # the search finds what is there


def test_no_recipe_writes_or_shows_its_key(questions: Path) -> None:
    with serving(telling) as server:
        recipe = questions.with_name("own.toml")
        asked = f'difficulty = "judge"\nmodel = "m"\nbase_url = "{server.url}"\npreset = "paper"\nrows = 1\n'
        recipe.write_text(f'name = "own"\n[select]\npool = ["{questions}"]\n{asked}')
        done = [run(["run", str(recipe), *more], questions.parent) for more in (["--out", "run"], ["--show"])]
    for one in done:
        assert one.returncode == 0, one.stderr.decode()
        assert KEY.encode() not in one.stdout + one.stderr
    assert (questions.parent / "run" / "run.json").is_file()
    assert holding(KEY, questions.parent) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500, 200])
def test_an_error_does_not_say_the_key_back(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(lambda *_: Reply({"error": {"message": f"Incorrect API key provided: {KEY}."}}, status)) as server:
        from select2reason.backends.openai import OpenaiBackend

        backend = OpenaiBackend("m", base_url=server.url, tries=1)
        try:
            with pytest.raises(Select2ReasonError) as error:
                backend.generate([ASKED], Sampling(n=1, temperature=0, top_p=1, max_tokens=5))  # type: ignore[list-item]
        finally:
            backend.close()
    assert server.keys == [f"Bearer {KEY}"]
    assert KEY not in str(error.value)
    assert KEY not in repr(BackendSettings("openai", "m", base_url=server.url))


def test_short_words_that_serve_as_keys_are_left_in_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")
    with serving(lambda *_: Reply(said("the set is EMPTY"))) as server:
        backend = open_backend(BackendSettings("openai", "m", base_url=server.url))
        answers = backend.generate([ASKED], Sampling(n=1, temperature=0, top_p=1, max_tokens=5))  # type: ignore[list-item]
        backend.close()
    assert answers[0][0].text == "the set is EMPTY"


def test_a_redirect_to_another_server_takes_no_key_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from select2reason.backends.openai import OpenaiBackend

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(lambda *_: Reply(said("4"))) as other:
        elsewhere = {"location": f"{other.url}/chat/completions"}
        with serving(lambda *_: Reply({}, 307, elsewhere)) as server:
            backend = OpenaiBackend("m", base_url=server.url, tries=1)
            backend.generate([ASKED], Sampling(n=1, temperature=0, top_p=1, max_tokens=5))  # type: ignore[list-item]
            backend.close()
    assert (server.keys, other.keys) == ([f"Bearer {KEY}"], [None])


@pytest.mark.parametrize(
    "address",
    [
        f"http://user:{SECRET}@host:8000/v1",
        f"https://{SECRET}@host/v1",
        f"http://host/v1?api_key={SECRET}",
        f"http://host/v1#{SECRET}",
    ],
)
def test_an_address_that_holds_a_secret_is_refused_and_not_repeated(address: str, questions: Path) -> None:
    with pytest.raises(UsageError, match="takes no user, password, key or query") as error:
        check_address(address)
    assert SECRET not in str(error.value)
    recipe = questions.with_name("own.toml")
    recipe.write_text(f'[select]\npool = ["q.jsonl"]\ndifficulty = "judge"\nmodel = "m"\nbase_url = "{address}"\n')
    before = set(holding(SECRET, questions.parent))
    done = run(["run", str(recipe), "--out", "run"], questions.parent)
    assert done.returncode == 2
    assert SECRET.encode() not in done.stdout + done.stderr
    assert set(holding(SECRET, questions.parent)) == before == {recipe}


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000/v1", "https://host", "http://[::1]:80/a@b", "HTTP://h/v1"])
def test_an_address_without_one_is_taken(address: str) -> None:
    assert check_address(address) == address


def test_a_command_is_recorded_without_what_an_address_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["select2reason", "select", "p.jsonl", "--ray-storage", f"ftp://me:{SECRET}@host/pool", "--out", "x"]
    monkeypatch.setattr(sys, "argv", words)
    assert SECRET not in command_line()
    assert command_line().endswith("--ray-storage 'ftp://***@host/pool' --out x")


def test_the_explorer_starts_its_selection_without_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which server a recorded command asks is said by a file, that may have come from anybody."""
    from select2reason.view.handing import Making

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    pool = tmp_path / "p.jsonl"
    pool.write_bytes(b"".join(orjson.dumps({"question": f"{n}?", "response": f"so {n}"}) + b"\n" for n in range(3)))
    with serving(telling) as server:
        making = Making()
        judged = ["--difficulty", "judge", "--model", "m", "--base-url", server.url, "--preset", "paper"]
        making.start(["select", str(pool), *judged, "--rows", "1", "--out", str(tmp_path / "out")], tmp_path / "out")
        making.follow()
    assert making.state()["state"] == "done", making.said
    assert set(server.keys) == {"Bearer none"}


def test_a_key_that_is_refused_is_named_by_its_variable() -> None:
    with serving(lambda *_: Reply({"error": "no"}, 401)) as server:
        from select2reason.backends.openai import OpenaiBackend

        backend = OpenaiBackend("m", base_url=server.url, api_key=KEY, tries=1)
        with pytest.raises((UsageError, RunError), match=r"refuses the key .*set OPENAI_API_KEY"):
            backend.generate([ASKED], Sampling(n=1, temperature=0, top_p=1, max_tokens=5))  # type: ignore[list-item]
        backend.close()
