"""The server as its clients see it: who is let in, what is answered, what is refused."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from select2reason.errors import OutputError
from select2reason.view import Answers, Recorded
from select2reason.view.guard import HEADERS, WRITING, Guard
from select2reason.view.server import make_app, serve

from .conftest import HOME, Looked


def get(client: TestClient, path: str, **parameters: str | float) -> Any:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_printed_address_lets_a_browser_in_by_a_cookie_that_scripts_cannot_read(
    client: TestClient, guard: Guard
) -> None:
    entered = client.get("/", params={"token": guard.entry}, follow_redirects=False)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=strict"} <= set(entered.headers["set-cookie"].split("; "))
    assert guard.write in client.get("/").text


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/api/pool", "/api/rows", "/page/app.js", "/api/example/1"])
def test_nobody_else_is_let_in(client: TestClient, path: str) -> None:
    client.cookies.clear()
    refused = client.get(path)
    assert refused.status_code == 403
    assert "open the address that `select2reason view` printed" in refused.text


@pytest.mark.parametrize("host", ["evil.com", "127.0.0.1.evil.com", "localhost.evil.com:8765", "", "192.168.0.2:8765"])
def test_a_name_that_leads_here_is_refused(client: TestClient, guard: Guard, host: str) -> None:
    for path in ("/", "/api/pool", f"/?token={guard.entry}"):
        assert client.get(path, headers={"Host": host}, follow_redirects=False).status_code == 403


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8765"])
def test_this_machine_by_any_port_is_home(client: TestClient, host: str) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    assert client.get("/api/categories", headers={"Host": host, "Cookie": cookies}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        *({"Origin": origin} for origin in ("http://evil.com", "null", "http://[", "https://127.0.0.1:8765")),
        *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site")),
    ],
)
def test_another_site_is_refused(client: TestClient, guard: Guard, headers: dict[str, str]) -> None:
    assert client.get("/api/pool", headers=headers).status_code == 403
    assert (
        client.post("/api/selection", json={"out": "x"}, headers={**headers, WRITING: guard.write}).status_code == 403
    )


def test_nothing_is_written_without_the_page_s_own_secret(client: TestClient, guard: Guard, tmp_path: Path) -> None:
    for token in ({}, {WRITING: "wrong"}, {WRITING: guard.entry}):
        refused = client.post("/api/selection", json={"out": str(tmp_path / "made")}, headers=token)
        assert (refused.status_code, refused.text) == (403, "only the page itself may write\n")
    assert not (tmp_path / "made").exists()


def test_a_selection_is_made_as_select_makes_it(client: TestClient, guard: Guard, tmp_path: Path) -> None:
    out = tmp_path / "made"
    wanted = {"out": str(out), "weight": 0.5, "rows": 7}
    assert client.post("/api/selection", json=wanted, headers={WRITING: guard.write}).status_code == 200
    busy = client.post("/api/selection", json=wanted, headers={WRITING: guard.write})
    assert (busy.status_code, busy.json()["error"]) == (400, "a selection is being made already; wait for it")
    for _ in range(600):
        if (made := get(client, "/api/selection"))["state"] != "making":
            break
        time.sleep(0.1)
    assert made["state"] == "done", made
    manifest = orjson.loads((out / "manifest.json").read_bytes())
    assert (manifest["selected"], manifest["parameters"]["weight"]) == (7, 0.5)
    rows = [row["row"] for row in get(client, "/api/rows", weight=0.5, rows=7, shown="selected")["rows"]]
    import polars as pl

    assert pl.read_parquet(out / "data" / "*.parquet")["row"].to_list() == rows


def test_what_fails_is_told_in_its_own_words(client: TestClient, guard: Guard, demo: Looked) -> None:
    client.post("/api/selection", json={"out": str(demo.folder)}, headers={WRITING: guard.write})
    for _ in range(300):
        if (made := get(client, "/api/selection"))["state"] != "making":
            break
        time.sleep(0.1)
    assert made["state"] == "failed"
    assert "exists; choose another --out" in made["said"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"out": " "}',
        b"{" * 20_000,
        b'{"out": "x", "weight": "?"}',
        b'{"out": "a\\u0000"}',
        b'{"out": ["x"]}',
    ],
)
def test_a_wish_that_is_none_is_refused_in_one_line(client: TestClient, guard: Guard, body: bytes) -> None:
    refused = client.post("/api/selection", content=body, headers={WRITING: guard.write})
    assert refused.status_code == 400
    assert "\n" not in refused.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        *("/api/choice?weight=2", "/api/choice?weight=x", "/api/choice?weight=nan", "/api/choice?fraction=0"),
        *("/api/choice?fraction=x", "/api/choice?rows=0", "/api/choice?rows=-1", "/api/choice?rows=" + "9" * 30),
        *(
            "/api/rows?shown=x",
            "/api/rows?sort=x",
            "/api/rows?first=x",
            "/api/rows?least_tokens=x",
            "/api/example/999999",
        ),
    ],
)
def test_bad_questions_are_answered_in_one_line(client: TestClient, path: str) -> None:
    refused = client.get(path)
    assert refused.status_code == 400
    assert refused.json()["error"]


def test_other_cookies_of_this_machine_do_no_harm(client: TestClient) -> None:
    own = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    client.cookies.clear()
    for other in ('prefs={"a":1}', "a[b]=1", "k@x=1", "x=sp ace", "=", ""):
        for held in (f"{other}; {own}", f"{own}; {other}"):
            assert client.get("/api/categories", headers={"Cookie": held}).status_code == 200


def test_the_cookie_is_not_the_secret_of_the_address(client: TestClient, guard: Guard) -> None:
    assert guard.entry not in str(dict(client.cookies))
    assert (
        client.get("/", params={"token": guard.known}, follow_redirects=False).status_code == 200
    )  # by the cookie alone
    client.cookies.clear()
    assert client.get("/", params={"token": guard.known}).status_code == 403


def test_files_that_are_not_those_that_were_selected_from_are_refused(
    demo: Looked, guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = (demo.pools[0].name,)
    explored = demo.open()
    sources = [{**source, "path": demo.pools[0].name} for source in explored.manifest["pool"]["sources"]]
    explored.manifest = {**explored.manifest, "pool": {**explored.manifest["pool"], "sources": sources}}
    monkeypatch.chdir(tmp_path)
    with TestClient(make_app(Answers(explored), Recorded(pools, {}, 10), guard), base_url=HOME) as client:
        client.get("/", params={"token": guard.entry})
        wish = {"json": {"out": str(tmp_path / "x"), "weight": 0.5}, "headers": {WRITING: guard.write}}
        absent = client.post("/api/selection", **wish)  # type: ignore[arg-type]
        assert "pool.jsonl is not here; start view in the folder" in absent.json()["error"]
        (tmp_path / "pool.jsonl").write_text("{}")
        other = client.post("/api/selection", **wish)  # type: ignore[arg-type]
        assert "pool.jsonl is not the file that was selected from" in other.json()["error"]
        assert get(client, "/api/selection")["state"] == "idle"


def test_paths_beyond_the_page_lead_nowhere(client: TestClient) -> None:
    for path in (
        "/page/../server.py",
        "/page/%2e%2e/server.py",
        "/page/..%2fserver.py",
        "/page//etc/passwd",
        "/server.py",
    ):
        assert client.get(path).status_code == 404


def test_every_answer_has_the_headers_that_keep_the_page_alone(client: TestClient) -> None:
    for path in ("/", "/api/pool", "/page/app.js", "/nothing", "/api/choice?weight=9"):
        assert {name: client.get(path).headers.get(name) for name in HEADERS} == HEADERS
    client.cookies.clear()
    assert {name: client.get("/").headers.get(name) for name in HEADERS} == HEADERS
    assert "'unsafe-eval'" not in HEADERS["Content-Security-Policy"]
    assert "script-src 'self';" in HEADERS["Content-Security-Policy"]


def test_figures_agree_with_each_other(client: TestClient, demo: Looked) -> None:
    pool, recorded = get(client, "/api/pool"), get(client, "/api/choice")
    other = get(client, "/api/choice", weight=1, fraction=0.3)
    assert pool["rows"] == demo.open().pool.rows == sum(reason["n"] for reason in pool["reasons"])
    assert (recorded["in"], recorded["out"], recorded["selected"]) == (0, 0, pool["selected"])
    assert other["selected"] - other["in"] == pool["selected"] - other["out"]
    assert sum(other["length"]) == sum(other["difficulty"]) == sum(other["plane"]) == other["selected"]
    assert len(pool["plane"]) == len(pool["length"]["pool"]) * len(pool["difficulty"]["pool"])
    assert get(client, "/api/rows", weight=1, fraction=0.3, shown="in")["total"] == other["in"]


def test_pages_of_rows_lie_end_to_end(client: TestClient) -> None:
    total = get(client, "/api/rows")["total"]
    rows = [row["row"] for first in range(0, total, 50) for row in get(client, "/api/rows", first=first)["rows"]]
    assert sorted(rows) == list(range(total))
    assert get(client, "/api/rows", first=total + 500)["first"] == (total - 1) // 50 * 50


def test_an_example_has_its_neighbours_in_rank_and_among_those_found(client: TestClient) -> None:
    order = [row["row"] for row in get(client, "/api/rows", weight=0.4)["rows"]]
    example = get(client, f"/api/example/{order[10]}", weight=0.4)
    assert [one["row"] for one in example["neighbours"]] == [*order[7:10], *order[11:14]]
    total = get(client, "/api/rows")["total"]
    assert example["found"] == {"at": 10, "total": total, "before": order[9], "after": order[11]}
    elsewhere = get(client, f"/api/example/{order[10]}", weight=0.4, search="row:0")
    assert elsewhere["found"]["at"] is None


def test_a_recipe_and_a_command_say_the_same(client: TestClient, demo: Looked) -> None:
    import tomllib

    recipe = client.get("/api/recipe", params={"weight": 0.5, "fraction": "0.07"})
    assert recipe.headers["content-disposition"] == 'attachment; filename="choice.toml"'
    chosen = tomllib.loads(recipe.text)["select"]
    assert chosen == {"pool": [str(demo.pools[0])], "cache_dir": str(demo.cache), "weight": 0.5, "fraction": "0.07"}
    command = get(client, "/api/command", weight=0.5, fraction="0.07", out="my choice")["command"]
    assert command.split(" \\\n  ") == [
        f"select2reason select {demo.pools[0]}",
        f"--cache-dir {demo.cache}",
        *("--weight 0.5", "--fraction 0.07", "--out 'my choice'"),
    ]


def test_no_command_is_given_that_select_would_refuse(client: TestClient) -> None:
    for path in ("/api/command", "/api/recipe", "/api/choice"):
        for wrong, told in (
            ({"weight": "7"}, "weight must be between 0 and 1"),
            ({"fraction": "7"}, "fraction must be above 0 and at most 1"),
            ({"rows": "0"}, "rows must be at least 1"),
        ):
            answer = client.get(path, params=wrong)
            assert (answer.status_code, told in answer.json()["error"]) == (400, True)
    assert client.get("/api/command", params={"out": " "}).json()["error"].startswith("say where to")


def test_an_example_says_why_it_was_left(client: TestClient, demo: Looked) -> None:
    import polars as pl

    table = pl.read_parquet(demo.folder / "scores.parquet")
    kept = table.filter(pl.col("selected"))
    left = table.filter(
        pl.col("reason") == "same_question", pl.col("question_group").is_in(kept["question_group"].implode())
    )
    row = left.row(0, named=True)
    told = get(client, f"/api/example/{row['row']}")["why"]
    assert told["instead"] == kept.filter(pl.col("question_group") == row["question_group"])["row"].to_list()
    assert [told[name] for name in ("rank_difficulty", "rank_length")] == [row["rank_difficulty"], row["rank_length"]]
    assert told["rank_joint"] == pytest.approx(row["rank_joint"])
    assert told["meaning"] == "its question already has as many traces as allowed"
    dropped = table.filter(pl.col("reason") == "looping")["row"][0]
    assert get(client, f"/api/example/{dropped}")["why"]["rank_joint"] is None


def test_the_whole_text_of_an_example_is_plain_text(client: TestClient, demo: Looked) -> None:
    text = client.get("/api/text/3")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.headers["content-disposition"] == 'attachment; filename="row-3.txt"'
    explored = demo.open()
    parts = explored.pool.few(np.array([3], np.uint32), ("question", "head", "trace", "tail")).row(0)
    assert text.text == f"{parts[0]}\n\n{''.join(parts[1:])}\n"
    assert client.get("/api/text/999999").status_code == client.get("/api/text/").status_code == 400


def test_a_port_that_is_taken_is_told(demo: Looked) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OutputError, match="choose another --port"):
            serve(Answers(demo.open()), Recorded((), {}, 1), port=taken.getsockname()[1])


@contextmanager
def running(looked: Looked, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    words = [sys.executable, "-m", "select2reason", "view", str(looked.folder), "--no-browser", "--json", *options]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, orjson.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_address_and_ends_in_peace(demo: Looked, number: signal.Signals) -> None:
    with running(demo) as (process, told):
        assert told["address"].startswith("http://127.0.0.1:")
        assert told["rows"] == demo.open().pool.rows
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
        assert (process.returncode, said) == (0, "")
