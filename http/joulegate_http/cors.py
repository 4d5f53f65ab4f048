"""Pages of other origins that may call the API from a browser. Off without JOULEGATE_CORS_ORIGINS.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from joulegate_core.errors import SettingsError
from joulegate_http.request_headers import header

SETTING = "JOULEGATE_CORS_ORIGINS"
ANY = "*"

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?\Z|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?\Z")

REQUEST_HEADERS = b"Authorization, Content-Type, If-None-Match, Last-Event-ID, X-Request-Id"
RESPONSE_HEADERS = b"ETag, Location, Retry-After, WWW-Authenticate, X-Joulegate-Role, X-Request-Id"
REMEMBER_SECONDS = b"7200"
"""How long a browser need not ask again; Chromium takes no more."""


def parse_origins(text: str) -> frozenset[str]:
    """The origins of the setting, separated by commas.

    Raises:
        SettingsError: one is not an origin; the message says which.
    """
    origins = [origin.strip() for origin in text.split(",")] if text.strip() else []
    for number, origin in enumerate(origins, 1):
        if origin != ANY and not _ORIGIN.match(origin):
            raise SettingsError(
                f"{SETTING} is not valid: entry {number} must be an origin as browsers send it, such as https://fleet.example or "
                "http://10.0.0.5:3000 (lower case, no path, no slash at the end), or * for all (docs/configuration.md)"
            )
    return frozenset(origins)


class Cors:
    """ASGI middleware. A preflight is what OPTIONS answers, with the route's `Allow` told in the browser's words.

    No credentials: a page sends a token itself, and a browser adds nothing by itself.
    """

    def __init__(self, app: ASGIApp, origins: frozenset[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection's scope, as ASGI wants it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        allowed = self._allowed(header(scope, b"origin"))
        is_preflight = scope["method"] == "OPTIONS" and header(scope, b"access-control-request-method") != b""

        async def send_allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), (b"vary", b"Origin")]
                if allowed:
                    headers += [(b"access-control-allow-origin", allowed)]
                    headers += _of_preflight(headers) if is_preflight else _OF_ANSWER
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_allowed)

    def _allowed(self, origin: bytes) -> bytes:
        """The origin, when it is one of ours."""
        if not origin:
            return b""
        if ANY in self._origins:
            return b"*"
        return origin if origin.decode("latin-1") in self._origins else b""


_OF_ANSWER = [(b"access-control-expose-headers", RESPONSE_HEADERS)]


def _of_preflight(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    allow = next((value for name, value in headers if name == b"allow"), b"")
    return [
        (b"access-control-allow-methods", allow),
        (b"access-control-allow-headers", REQUEST_HEADERS),
        (b"access-control-max-age", REMEMBER_SECONDS),
    ]
