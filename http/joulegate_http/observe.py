"""Around every request: its id, its metrics, its headers, and the last net for exceptions."""

import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from joulegate_core.telemetry import is_valid_id
from joulegate_http.metrics import Metrics
from joulegate_http.problems import as_problem, problem_response

log = structlog.get_logger()

REQUEST_ID_HEADER = "X-Request-Id"


class Observe:
    """ASGI middleware. A client's own X-Request-Id is taken over when it obeys the rule of ids, so that logs can be joined."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection's scope, as ASGI wants it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0
        started = time.perf_counter()

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, scope["path"], request_id)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_observed)
            except Exception as error:
                log.exception("request_failed", route=_route(scope))
                if status:  # the client has half an answer: only ending the connection tells it so
                    raise
                response = problem_response(as_problem(error), scope["path"], request_id)
                await response(scope, receive, send_observed)
            finally:
                self._metrics.observe(_route(scope), status, time.perf_counter() - started)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
    return given if is_valid_id(given) else uuid.uuid4().hex


def _add_headers(message: Message, path: str, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers[REQUEST_ID_HEADER] = request_id
    if path.startswith("/v1/"):
        headers.setdefault("Cache-Control", "no-store")  # figures change every minute


def _route(scope: Scope) -> str | None:
    """The path of the route that took the request, parameters by name; known once the router has run."""
    return getattr(scope.get("route"), "path", None)
