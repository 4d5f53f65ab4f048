"""HTTP/1.1 connections with an end to whatever a client may leave unfinished.

uvicorn ends a connection that is idle between two requests, and nothing else: it waits without end for the rest of a request and for
a client to take its answer. Here both have a deadline, and there is always room for one more connection: the one that has owed a
request for the longest makes place for it. So clients that trickle cost others nothing. The parser, httptools,
knows no limits: they are here, too.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade
from starlette.responses import PlainTextResponse, Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from joulegate_core.deadline import Deadline

REQUEST_SECONDS = 10.0
"""How long a client may take from connecting, or from its last answer, to the last byte of its next request."""

TAKE_SECONDS = 20.0
"""How long a client may leave the rest of an answer untaken, when that is more than what the buffers hold."""

MOST_CONNECTIONS = 800
"""Most of the open files that a process may usually have (1,024); idle connections are cheap, and streams (at most 500) leave room."""

MAX_HEAD_BYTES = 16 * 1024
"""As much as the request line and the headers may have together, and what comes with a body without being part of it."""

PIECE_BYTES = 1024
"""The parser is given no more at a time, and nothing while a request waits for the answer to another one: it makes requests of all that it
is given, and a small one takes a hundred times its bytes."""

VERSIONS = ("1.0", "1.1")

Refusal = Callable[[HTTPStatus], Response]
"""The response to what is not a request: 400, 414 or 431."""


def plain_refusal(status: HTTPStatus) -> Response:
    """The status in words."""
    return PlainTextResponse(status.phrase, status)


class HttpConnection(HttpToolsProtocol):
    """One connection. Made by uvicorn, whose methods it extends."""

    def __init__(self, *, refusal: Refusal, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._refusal = refusal
        self.due = Deadline(REQUEST_SECONDS, self.end)
        self._taking = Deadline(TAKE_SECONDS, self.end)
        self._unread = memoryview(b"")
        self._unanswered = 0
        """Whole requests."""
        self._in_head = self._in_body = False
        self._around_body = 0
        """The bytes of the request that is being read, without its body."""
        self._refused: HTTPStatus | None = None
        self._answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counts from the beginning, and makes room."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.due.start()
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self.due.stop()
        self._taking.stop()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True  # uvicorn tells the last request only, which may still wait
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads as far as requests can be answered one after the other."""
        self._unread = memoryview(bytes(self._unread) + data if self._unread else data)
        self._read()

    def _read(self) -> None:
        self._unset_keepalive_if_required()
        while self._unread and not self.pipeline and self._refused is None:
            piece, self._unread = self._unread[:PIECE_BYTES], self._unread[PIECE_BYTES:]
            self._around_body += len(piece)
            try:
                self.parser.feed_data(piece)
            except HttpParserUpgrade as upgrade:
                self._unread = memoryview(
                    self._without_upgrade() + bytes(piece[upgrade.args[0] :]) + bytes(self._unread)
                )
            except HttpParserError:
                self._refuse(HTTPStatus.BAD_REQUEST)
            if self._around_body > MAX_HEAD_BYTES:
                self._refuse(self._too_large())
        if self._unread:
            self.flow.pause_reading()

    def _without_upgrade(self) -> bytes:
        """The head once more, as of a request like any other: there is nothing to upgrade to, and the parser takes its body for
        something else."""
        headers = [b"%s: %s\r\n" % one for one in self.headers if one[0] != b"upgrade"]
        return b"".join([b"%s %s HTTP/1.1\r\n" % (self.parser.get_method(), self.url), *headers, b"\r\n"])

    def _too_large(self) -> HTTPStatus:
        if not self._in_head:
            return HTTPStatus.BAD_REQUEST
        is_url = len(self.url) > MAX_HEAD_BYTES // 2
        return HTTPStatus.REQUEST_URI_TOO_LONG if is_url else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self._around_body = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what follows a body in pieces is none."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begins to answer, when it is HTTP/1. Raises HttpParserError."""
        self._in_head = False
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if version not in VERSIONS or hosts > 1 or (not hosts and version == "1.1"):
            raise HttpParserError("not a request of HTTP/1.1")
        if self.parser.get_method() == b"CONNECT":
            raise HttpParserError("this is not a proxy")
        if self.parser.should_upgrade():
            return
        self._in_body = True
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._around_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request that is whole was in time. Without the part that came after its answer: then the next one is due."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._in_body = False
        self.due.stop()
        if self.cycle.response_complete:
            self.due.start()
        else:
            self._unanswered += 1

    def on_response_complete(self) -> None:
        """The next request is due, unless it is here."""
        self._unanswered = max(0, self._unanswered - 1)
        if not self._unanswered:
            self.due.start()
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._unread:
            self._read()
        elif self._refused is not None and not self._unanswered:
            self._send_refusal(self._refused)

    def pause_writing(self) -> None:
        """The client does not take its answer as fast as it is written."""
        self._taking.start()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has taken most of it."""
        self._taking.stop()
        super().resume_writing()

    def _refuse(self, status: HTTPStatus) -> None:
        """Reads nothing more, and answers what is not a request once what came before is answered."""
        self._refused, self._unread = status, memoryview(b"")
        if self._in_body and self.pipeline:
            self.pipeline.popleft()  # the request with that body is the last of those that wait
        elif self._in_body and self.cycle.response_started:
            self.transport.abort()  # an answer is on its way; another one would only follow it
        elif self._in_body:
            self.cycle.disconnected = True  # what still works on the request must not answer, too
            self.cycle.message_event.set()
            self._send_refusal(status)
        elif not self._unanswered:
            self._send_refusal(status)

    def _send_refusal(self, status: HTTPStatus) -> None:
        response = self._refusal(status)
        headers = [*response.raw_headers, (b"connection", b"close")]
        lines = [STATUS_LINE[response.status_code], *(b"%s: %s\r\n" % one for one in headers), b"\r\n"]
        self.transport.write(b"".join([*lines, bytes(response.body)]))
        self.transport.close()

    def _make_room(self) -> None:
        connections = cast("set[HttpConnection]", self.connections)
        due = [(end, one) for one in connections if (end := one.due.end) is not None]
        min(due, key=lambda pair: pair[0])[1].end()  # this one is among them: when all others are at work, it goes

    def end(self) -> None:
        """Ends the connection; what is not sent is lost."""
        self.due.stop()
        self.transport.abort()
