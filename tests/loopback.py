"""A chat server on loopback that behaves as a test tells it: real sockets, real HTTP, made-up faults."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server sends: a body (an object as JSON, or bytes as they are), after a wait; `drip_s` between bytes;
    `cut` closes the connection after so many bytes of it."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    drip_s: float = 0.0
    cut: int | None = None


Answer = Callable[[str, Mapping[str, Any], int], Reply]  # path, body, number of the chat


@dataclass
class Loopback:
    """A running server: its address, the chats that it was asked, in order, and the keys that came with requests."""

    url: str
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


def listed(tokens: Mapping[str, float], text: str = "1") -> dict[str, object]:
    """A reply with the log-probabilities of its first place."""
    top = [{"token": token, "logprob": value} for token, value in tokens.items()]
    first = {"token": text, "logprob": -1.0, "top_logprobs": top}
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "length"}
    return {"choices": [choice | {"logprobs": {"content": [first]}}]}


def said(text: str, *, finish: str = "stop", **message: object) -> dict[str, object]:
    """A reply with an answer."""
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return {"choices": [choice], "usage": {"completion_tokens": len(text.split())}}


@contextmanager
def serving(answer: Answer) -> Iterator[Loopback]:
    """Serve on a free port of 127.0.0.1 until the block ends."""
    lock = threading.Lock()
    loopback = Loopback("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            except (json.JSONDecodeError, OSError):  # a client that was killed in mid-sentence
                return
            with lock:
                loopback.keys.append(self.headers.get("authorization"))
                if "messages" in body:
                    loopback.asked.append(body)
                number = len(loopback.asked)
            self._send(answer(self.path, body, number))

        def _send(self, reply: Reply) -> None:
            time.sleep(reply.wait_s)
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"content-type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            try:
                for byte in content[: reply.cut] if reply.drip_s else [content[: reply.cut]]:
                    self.wfile.write(bytes([byte]) if isinstance(byte, int) else byte)
                    self.wfile.flush()
                    time.sleep(reply.drip_s)
            except OSError:  # the client has gone
                return
            if reply.cut is not None:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    loopback.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield loopback
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
