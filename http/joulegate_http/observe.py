"""Around every request: its id, its token, its metrics, its headers, and the last net for exceptions."""

import asyncio
import secrets
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from joulegate_core.telemetry import is_valid_id
from joulegate_http.answer_headers import REQUEST_ID, with_headers
from joulegate_http.gate import Gate
from joulegate_http.metrics import Metrics
from joulegate_http.problems import ProblemError, as_problem, problem_response, stopping
from joulegate_http.request_headers import header

log = structlog.get_logger()

CLIENT_GONE = 499
"""The status in metrics for a client that did not wait for an answer; nginx counts it under the same."""


class Observe:
    """ASGI middleware. A client's own X-Request-Id is taken over when it obeys the rule of ids, so that logs can be joined.

    What is logged of a request has its id, and the name of its token where there is one.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, gate: Gate) -> None:
        self._app = app
        self._metrics = metrics
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection's scope, as ASGI wants it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        token = self._gate.identify(scope)
        scope.setdefault("state", {}).update(request_id=request_id, token=token)
        known = {"request_id": request_id, "token": token.name} if token else {"request_id": request_id}
        status = 0
        started = time.perf_counter()

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = with_headers(message, request_id, token.role if token else None)
            await send(message)

        with structlog.contextvars.bound_contextvars(**known):
            try:
                failure = await self._failure(scope, receive, send_observed)
                if failure is not None and not status:  # a client with half an answer is told by the connection's end
                    await problem_response(failure, scope["path"], request_id)(scope, receive, send_observed)
            finally:
                self._metrics.observe(_route(scope), status or CLIENT_GONE, time.perf_counter() - started)

    async def _failure(self, scope: Scope, receive: Receive, send: Send) -> ProblemError | None:
        """Runs the application. Returns what it could not answer itself."""
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:  # the service stops and waits no longer: a last word instead of a traceback
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            return stopping()
        except Exception as error:
            log.exception("request_failed", route=_route(scope))
            return as_problem(error)
        return None


def _request_id(scope: Scope) -> str:
    given = header(scope, REQUEST_ID).decode("latin-1")
    return given if is_valid_id(given) else secrets.token_hex(16)


def _route(scope: Scope) -> str | None:
    """The path of the route that took the request, parameters by name; known once the router has run."""
    return getattr(scope.get("route"), "path", None)
