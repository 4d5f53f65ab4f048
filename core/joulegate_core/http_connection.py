"""HTTP/1.1 connections with an end to whatever a client may leave unfinished.

uvicorn ends a connection that is idle between two requests, and nothing else: it waits without end for the rest of a request and for
a client to take its answer. Here both have a deadline, and there is always room for one more connection: the one that has owed a
request for the longest makes place for it. So clients that trickle cost others nothing.
"""

import asyncio
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import h11
from starlette.responses import PlainTextResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 10.0
"""How long a client may take from connecting, or from its last answer, to the last byte of its next request."""

TAKE_SECONDS = 20.0
"""How long a client may leave the rest of an answer untaken, when that is more than what the buffers hold."""

MOST_CONNECTIONS = 800
"""Most of the open files that a process may usually have (1,024); idle connections are cheap, and streams (at most 500) leave room."""

Refusal = Callable[[HTTPStatus], Response]
"""The response to what is not a request: 400, 414, 431, 501 or 505."""


def plain_refusal(status: HTTPStatus) -> Response:
    """The status in words."""
    return PlainTextResponse(status.phrase, status)


class Deadline:
    """Calls `act` when it was not stopped within `seconds` of its start."""

    def __init__(self, seconds: float, act: Callable[[], None]) -> None:
        self._seconds = seconds
        self._act = act
        self._timer: asyncio.TimerHandle | None = None

    @property
    def end(self) -> float | None:
        """When it will be too late, by the loop's clock; None while nothing is due."""
        return self._timer.when() if self._timer else None

    def start(self) -> None:
        """Begins to count, unless it has begun already."""
        self._timer = self._timer or asyncio.get_running_loop().call_later(self._seconds, self._act)

    def stop(self) -> None:
        """What was due is done."""
        if self._timer:
            self._timer.cancel()
        self._timer = None


class HttpConnection(H11Protocol):
    """One connection. Made by uvicorn, whose methods it extends."""

    def __init__(self, *, refusal: Refusal, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._refusal = refusal
        self.due = Deadline(REQUEST_SECONDS, self.end)
        self._taking = Deadline(TAKE_SECONDS, self.end)

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
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """A request that is whole was in time."""
        super().handle_events()
        if self.conn.their_state in (h11.DONE, h11.MUST_CLOSE):
            self.due.stop()

    def on_response_complete(self) -> None:
        """The next request is due."""
        self.due.start()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not take its answer as fast as it is written."""
        self._taking.start()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has taken most of it."""
        self._taking.stop()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Answers what is not a request; called while h11's error is handled, which knows the status (its `error_status_hint`)."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()  # an answer is on its way; another one would only follow it
            return
        if self.cycle is not None:
            self.cycle.disconnected = True  # what still works on the request must not answer, too
            self.cycle.message_event.set()
        response = self._refusal(self._status_of(sys.exception()))
        headers = [*response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=response.status_code, headers=headers),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _status_of(self, error: BaseException | None) -> HTTPStatus:
        hint = HTTPStatus(getattr(error, "error_status_hint", HTTPStatus.BAD_REQUEST))
        is_first_line = b"\n" not in self.conn.trailing_data[0]
        too_large = hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return HTTPStatus.REQUEST_URI_TOO_LONG if too_large and is_first_line else hint

    def _should_upgrade(self) -> bool:
        """There is nothing to upgrade to; uvicorn would log every request that asks."""
        return False

    def _make_room(self) -> None:
        connections = cast("set[HttpConnection]", self.connections)
        due = [(end, one) for one in connections if (end := one.due.end) is not None]
        min(due, key=lambda pair: pair[0])[1].end()  # this one is among them: when all others are at work, it goes

    def end(self) -> None:
        """Ends the connection; what is not sent is lost."""
        self.due.stop()
        self.transport.abort()
