"""The guard before every request, and its headers on every answer."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from select2reason.view.guard import HEADERS, Guard


class Guarding:
    """Refuses whom the guard refuses, and lets in by the printed address."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                given.update(HEADERS)
                given.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._answer(scope)(scope, receive, with_headers)

    def _answer(self, scope: Scope) -> ASGIApp:
        guard = self._guard
        headers = {name.lower(): value for name, value in Headers(scope=scope).items()}
        token = Request(scope).query_params.get("token")
        if scope["path"] == "/" and token and guard.at_home(headers) and guard.lets_in(token):
            entered = RedirectResponse("/", status_code=303)
            entered.set_cookie(guard.cookie, guard.known, httponly=True, samesite="strict")
            return entered
        why = guard.refuses(scope["method"], headers)
        return self._app if why is None else PlainTextResponse(why + "\n", status_code=403)
