"""The explorer's server: a page and the answers that it asks for, on loopback alone (Starlette, uvicorn)."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from select2reason.errors import OutputError, Select2ReasonError, UsageError
from select2reason.view import parameters
from select2reason.view.answers import Answers
from select2reason.view.guard import Guard
from select2reason.view.handing import Making, Recorded, spelled
from select2reason.view.middleware import Guarding

PAGE = Path(__file__).parent / "page"
PORT = 8765
_PORTS_TRIED = 20
_MOST_BODY_BYTES = 10_000


def serve(
    answers: Answers, recorded: Recorded, *, port: int | None = None, opened: Callable[[str], None] = lambda _: None
) -> None:
    """Serve until interrupted. `opened` is called with the address once it answers.

    Without a port the first free one from 8765 on. Raises OutputError where a port cannot be had.
    """
    guard = Guard()
    listening = _listen(port)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/?token={guard.entry}"
    app = make_app(answers, recorded, guard, started=lambda: opened(address))
    config = uvicorn.Config(
        app, log_config=None, log_level="error", access_log=False, ws="none", timeout_graceful_shutdown=1
    )
    _Server(config).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Ends on an interrupt as on a wish: it is how one ends it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hear SIGINT and SIGTERM while serving, and do not raise them once more afterwards."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listen(port: int | None) -> socket.socket:
    ports = [port] if port is not None else [*range(PORT, PORT + _PORTS_TRIED), 0]
    for one in ports:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", one))
            listening.listen()  # from now on whoever comes waits, and the port is nobody else's
        except OSError as error:
            listening.close()
            if one == ports[-1]:
                raise OutputError(f"port {one} cannot be had ({error.strerror}); choose another --port") from error
        else:
            return listening
    raise AssertionError(ports)


def make_app(
    answers: Answers, recorded: Recorded, guard: Guard, *, started: Callable[[], None] = lambda: None
) -> Starlette:
    """The application; `started` is called when it answers."""
    server = _Handlers(answers, recorded, guard)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        started()
        yield
        server.making.stop()

    app = Starlette(routes=server.routes(), lifespan=life, exception_handlers={Select2ReasonError: _told})
    app.add_middleware(Guarding, guard=guard)
    return app


class _Handlers:
    """One method for each thing that can be asked for; those that work run in threads."""

    def __init__(self, answers: Answers, recorded: Recorded, guard: Guard) -> None:
        self.answers = answers
        self.making = Making()
        self._recorded = recorded
        self._guard = guard

    def routes(self) -> list[Route | Mount]:
        return [
            Route("/", self.page),
            Route("/api/pool", lambda _: _json(self.answers.pool())),
            Route("/api/categories", self.categories),
            Route("/api/choice", self.choice),
            Route("/api/rows", self.rows),
            Route("/api/example/{row:path}", self.example),
            Route("/api/text/{row:path}", self.text),
            Route("/api/recipe", self.recipe),
            Route("/api/command", self.command),
            Route("/api/selection", self.make, methods=["POST"]),
            Route("/api/selection", self.made, methods=["GET"]),
            Mount("/page", StaticFiles(directory=PAGE)),
        ]

    def page(self, _: Request) -> Response:
        html = (PAGE / "index.html").read_text(encoding="utf-8").replace("{{ write }}", self._guard.write)
        return HTMLResponse(html, headers={"Cache-Control": "no-store"})

    def categories(self, _: Request) -> Response:
        return _json(self.answers.categories())

    def choice(self, request: Request) -> Response:
        return _json(self.answers.choice(parameters.asked(request.query_params)))

    def rows(self, request: Request) -> Response:
        given = request.query_params
        first = parameters.whole(given, "first") or 0
        return _json(self.answers.rows(parameters.query(given), parameters.asked(given), first=first))

    def example(self, request: Request) -> Response:
        given, row = request.query_params, _row(request)
        first = parameters.whole(given, "first") or 0
        return _json(self.answers.example(row, parameters.asked(given), parameters.query(given), first=first))

    def text(self, request: Request) -> Response:
        row = _row(request)
        attached = {"Content-Disposition": f'attachment; filename="row-{row}.txt"'}
        return PlainTextResponse(self.answers.whole(row), headers=attached)

    def recipe(self, request: Request) -> Response:
        attached = {"Content-Disposition": 'attachment; filename="choice.toml"'}
        return PlainTextResponse(self._recorded.recipe(parameters.asked(request.query_params)), headers=attached)

    def command(self, request: Request) -> Response:
        out = _out(request.query_params.get("out", "choice"))
        return _json({"command": spelled(self._recorded.command(parameters.asked(request.query_params), out))})

    async def make(self, request: Request) -> Response:
        wanted = await _object(request)
        out = _out(wanted.get("out"))
        given = {name: str(value) for name, value in wanted.items() if value is not None}
        await run_in_threadpool(self.answers.explored.refuse_other_files, self._recorded.pools)
        self.making.start(self._recorded.command(parameters.asked(given), out), Path(out))
        threading.Thread(target=self.making.follow, daemon=True).start()
        return _json(self.making.state())

    def made(self, _: Request) -> Response:
        return _json(self.making.state())


def _out(given: object) -> str:
    """Where a selection is to be put."""
    if not isinstance(given, str) or not given.strip() or "\0" in given:
        raise UsageError("say where to: a folder that is not there yet")
    return given.strip()


def _row(request: Request) -> int:
    row = parameters.whole(request.path_params, "row")
    if row is None:
        raise UsageError("say which row")
    return row


async def _object(request: Request) -> Mapping[str, object]:
    held = b""
    async for part in request.stream():
        held += part
        if len(held) > _MOST_BODY_BYTES:
            raise UsageError("that is too long")
    try:
        value = orjson.loads(held)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise UsageError("give a JSON object")
    return value


def _json(value: Mapping[str, object], status: int = 200) -> Response:
    content = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, status, {"Cache-Control": "no-store"}, "application/json")


def _told(_: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 400 if isinstance(error, UsageError) else 500)
