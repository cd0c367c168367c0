"""Who may ask: a browser on this machine that came by the printed address, and pages of this server alone.

The address carries a secret, for which the browser is given another as a cookie that scripts cannot read. Another
user of the machine, or another site in the same browser, has neither. A name that only resolves to this machine is
refused by its Host (DNS rebinding), another site's request by its Origin; and what writes needs a third secret, which
only the page knows.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer: nothing runs but the page's own files, and nothing is loaded from elsewhere."""
WRITING = "x-select2reason-write"


def _secret() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Guard:
    """The secrets of one run of the server."""

    entry: str = field(default_factory=_secret, repr=False)
    known: str = field(default_factory=_secret, repr=False)
    write: str = field(default_factory=_secret, repr=False)

    @property
    def cookie(self) -> str:
        """Its name, one for each run: browsers do not tell the ports of a machine apart."""
        return f"select2reason_{hashlib.sha256(self.known.encode()).hexdigest()[:8]}"

    def refuses(self, method: str, headers: Mapping[str, str]) -> str | None:
        """Why a request is refused, None where it is not; names of headers in lower case."""
        if not self.at_home(headers):
            return "this page is served to this machine alone: open it at 127.0.0.1 or localhost"
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{headers.get('host')}":
            return "another site asked"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return "another site asked"
        if not self.knows(headers.get("cookie", "")):
            return "open the address that `select2reason view` printed: it lets this browser in"
        if method not in ("GET", "HEAD") and not secrets.compare_digest(
            headers.get(WRITING, "").encode(), self.write.encode()
        ):
            return "only the page itself may write"
        return None

    def at_home(self, headers: Mapping[str, str]) -> bool:
        """Whether the request names this machine, and not a name that leads here."""
        return _host(headers.get("host", "")) in LOOPBACK

    def knows(self, cookies: str) -> bool:
        """Whether a Cookie header holds ours, whatever else it holds."""
        own = f"{self.cookie}={self.known}".encode()
        return any(secrets.compare_digest(one.strip().encode(), own) for one in cookies.split(";"))

    def lets_in(self, token: str) -> bool:
        """Whether this is the secret of the printed address."""
        return secrets.compare_digest(token.encode(), self.entry.encode())


def _host(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""
