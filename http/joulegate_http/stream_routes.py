"""`GET /v1/stream`: server-sent events."""

from typing import Annotated, cast

from msgspec import Meta
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from joulegate_db.changes import Cursor
from joulegate_http.codes import Code
from joulegate_http.operation import Operation, Success
from joulegate_http.parameters import Parameters
from joulegate_http.rules import KindsParameter, VehicleParameter
from joulegate_http.stream_client import Kind, StreamClient
from joulegate_http.stream_hub import Hub

DEFAULT_KINDS = "vehicles,fleet,alerts,gateways"

DESCRIPTION = """\
Server-sent events: `hello` first, then `vehicles` and `meters` (what changed, at most one a second), `alerts` (opened, closed),
`fleet` and `gateways` (at most every 5 s) with JSON as in the other answers, and `database` when it goes away or comes back.

Read with `Last-Event-ID` it goes on where it ended, for up to an hour: `hello` then says `resumed`. Otherwise open the stream, wait for
`hello`, then read the lists: nothing is missed. A client that is too slow is let go."""


class StreamParameters(Parameters, frozen=True, kw_only=True):
    """What a client wants."""

    kinds: KindsParameter = DEFAULT_KINDS
    vehicle_id: Annotated[VehicleParameter, Meta(description="Vehicles and alerts of this vehicle only.")] | None = None


def stream_operations(hub: Hub) -> list[Operation]:
    """What hands out the hub's news."""

    async def get_stream(asked: StreamParameters) -> Response:
        hub.require_room()
        return EventStream(hub, asked)

    return [
        Operation(
            method="GET",
            path="/v1/stream",
            handler=get_stream,
            tag="state",
            summary="What changes, as it changes",
            description=DESCRIPTION,
            parameters=StreamParameters,
            answer="text/event-stream",
            successes=(Success(meaning="Events, without end."),),
            codes=(Code.STREAM_FULL,),
        )
    ]


def _kinds(asked: StreamParameters) -> frozenset[Kind]:
    return frozenset(cast("list[Kind]", asked.kinds.split(",")))  # each is one: the parameter's rule has seen to it


class EventStream(Response):
    """Sends a client's events until it leaves, is too slow, or the service stops."""

    def __init__(self, hub: Hub, asked: StreamParameters) -> None:
        super().__init__(
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},  # a proxy must not hold events back
        )
        del self.headers["content-length"]
        self._hub = hub
        self._asked = asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Answers one request, as ASGI wants it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            since = Cursor.parse(Headers(scope=scope).get("last-event-id", ""))
            client = StreamClient(_kinds(self._asked), self._asked.vehicle_id, since)
            with self._hub.joined(client):
                async for chunk in client.chunks():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
