"""The explorer's every route, asked by another site, by another name, by nobody; and by names that lead elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from select2reason.view import Answers, Recorded
from select2reason.view.guard import HEADERS, WRITING, Guard
from select2reason.view.server import _Handlers

from ..view.conftest import Looked
from ..view.conftest import client as client
from ..view.conftest import demo as demo
from ..view.conftest import guard as guard

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.fixture
def routes(demo: Looked, guard: Guard) -> list[str]:
    """An address for every route that there is, so that none that is added later is forgotten."""
    handlers = _Handlers(Answers(demo.open()), Recorded((), {}, 1), guard)
    paths = [f"{one.path}/app.js" if isinstance(one, Mount) else one.path for one in handlers.routes()]
    assert all(isinstance(one, Route | Mount) for one in handlers.routes())
    return sorted({path.replace("{row:path}", "1") for path in paths})


FOREIGN = (
    *({"Host": host} for host in ("evil.com", "evil.com:8765", "127.0.0.1.evil.com", "0.0.0.0:8765", "[::]:8765")),
    *({"Origin": origin} for origin in ("http://evil.com", "null", "http://127.0.0.1:1", "file://")),
    *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site")),
)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_no_route_answers_another_site_or_name(
    client: TestClient, guard: Guard, routes: list[str], headers: dict[str, str]
) -> None:
    for path in routes:
        for method in METHODS:
            answer = client.request(method, path, headers={**headers, WRITING: guard.write})
            assert answer.status_code == 403, (method, path)


def test_no_route_answers_who_was_not_let_in(client: TestClient, guard: Guard, routes: list[str]) -> None:
    client.cookies.clear()
    for path in [*routes, "/?token=", "/?token=x", "/api/pool?token=" + guard.entry]:
        for method in METHODS:
            assert client.request(method, path, headers={WRITING: guard.write}).status_code == 403, (method, path)


def test_no_answer_lets_another_site_read_it(client: TestClient, routes: list[str]) -> None:
    for path in routes:
        for method in ("GET", "OPTIONS"):
            given = client.request(method, path, headers={"Access-Control-Request-Method": "POST"}).headers
            assert not [name for name in given if name.lower().startswith("access-control-")], path
            assert {name: given.get(name) for name in HEADERS} == HEADERS, path


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    rules = dict(rule.strip().partition(" ")[::2] for rule in HEADERS["Content-Security-Policy"].split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert not [word for word in HEADERS["Content-Security-Policy"].split() if "//" in word or word in ("*", "http:")]


def _state(*folders: Path) -> dict[str, str]:
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


def test_looking_changes_nothing(client: TestClient, demo: Looked, routes: list[str], tmp_path: Path) -> None:
    before = _state(demo.folder, demo.cache, tmp_path)
    for path in routes:
        client.get(path, params={"out": str(tmp_path / "made"), "weight": 0.5, "force": "true"})
        client.head(path)
    assert client.get("/api/selection").json()["state"] == "idle"
    assert _state(demo.folder, demo.cache, tmp_path) == before


def test_only_one_route_takes_what_is_written(client: TestClient, guard: Guard, routes: list[str]) -> None:
    for path in routes:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            status = client.request(method, path, content=b"", headers={WRITING: guard.write}).status_code
            assert status == (400 if (method, path) == ("POST", "/api/selection") else 405), (method, path)
            refused = client.request(method, path, content=b"")
            assert (refused.status_code, refused.text) == (403, "only the page itself may write\n"), (method, path)


def test_no_route_reads_a_file_by_its_name(client: TestClient, routes: list[str]) -> None:
    names = ("../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "%00")
    for path in routes:
        folder = path.rpartition("/")[0]
        for name in names:
            answer = client.get(f"{folder}/{name}")
            assert answer.status_code in (400, 404, 405) or (answer.status_code == 200 and folder == ""), (path, name)
            assert "root:" not in answer.text
