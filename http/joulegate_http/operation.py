"""One declaration for each thing that the API does. The routes are made from it, and the document (see `openapi`)."""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property
from http import HTTPStatus
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joulegate_core.tokens import Role
from joulegate_http.body import BODY_CODES, json_body
from joulegate_http.codes import Code
from joulegate_http.gate import Gate
from joulegate_http.negotiation import conditional, require_acceptable
from joulegate_http.parameters import ParameterReader, Parameters
from joulegate_http.respond import json_response, options_response
from joulegate_http.schemas import Wire

JSON = "application/json"

Handler = Callable[..., Awaitable[Wire | Response]]
"""Takes the parameters, then the body where there is one. A `Response` is for what is not 200 with JSON."""

DATABASE_CODES = (
    Code.DATABASE_UNAVAILABLE,
    Code.DATABASE_BUSY,
    Code.REPLICA_CONFLICT,
    Code.ANSWER_TOO_SLOW,
    Code.SCHEMA_MISMATCH,
)
"""What an operation that asks the database can always fail with."""


class Success(msgspec.Struct, frozen=True):
    """A status that is not a problem, what it means, and the headers that come with it."""

    status: HTTPStatus = HTTPStatus.OK
    meaning: str = "The answer."
    headers: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A method on a path.

    `path`: with the parameters' names in braces. `answer`: the JSON of every success, None when there is no body, or a media type
    when it is something else. `codes`: the problems that follow neither from the parameters nor from the body. `cost`: how much of a
    caller's rate it takes, about 1 for a tenth of a second of the database's work; 0 where it is next to nothing. `has_tag`: answers
    200 with an entity tag and 304 to a client that has the answer already; for what seldom changes.
    """

    method: Literal["GET", "PUT", "POST", "DELETE"]
    path: str
    handler: Handler
    tag: Literal["analytics", "state", "links", "operations"]
    summary: str
    description: str = ""
    parameters: type[Parameters] = Parameters
    body: type[Wire] | None = None
    answer: type[Wire] | str | None
    successes: tuple[Success, ...] = (Success(),)
    codes: tuple[Code, ...] = ()
    cost: float = 0
    has_tag: bool = False

    @property
    def role(self) -> Role | None:
        """What a token must be allowed for this; None: no token is asked for, for there is no device's data in the answer."""
        if not self.path.startswith("/v1/"):
            return None
        return "read" if self.method == "GET" else "operate"

    @property
    def media_type(self) -> str | None:
        """What a success is; None without a body."""
        return self.answer if self.answer is None or isinstance(self.answer, str) else JSON

    @property
    def name(self) -> str:
        """Unique among all operations: the handler's name in camelCase."""
        return re.sub("_(.)", lambda match: match[1].upper(), self.handler.__name__)

    @cached_property
    def reader(self) -> ParameterReader[Parameters]:
        """Reads the parameters."""
        return ParameterReader(self.parameters, self.path)

    @property
    def all_codes(self) -> set[Code]:
        """Every problem that the operation can answer with."""
        of_body = BODY_CODES if self.body else ()
        of_role = (Code.UNAUTHORIZED, Code.FORBIDDEN) if self.role else ()
        of_answer = (Code.NOT_ACCEPTABLE,) if self.answer else ()
        of_cost = (Code.RATE_LIMITED,) if self.cost else ()
        always = (Code.INTERNAL_ERROR, Code.STOPPING)
        return {*self.codes, *self.reader.codes, *of_body, *of_role, *of_answer, *of_cost, *always}

    async def respond(self, request: Request, gate: Gate) -> Response:
        """Answers a request that `gate` lets pass. What is refused costs nothing."""
        gate.admit(request, self.role)
        if (media_type := self.media_type) is not None:
            require_acceptable(request, media_type)
        parameters = self.reader.read(request)
        body = (await json_body(request, self.body),) if self.body else ()
        gate.charge(request, self.cost)
        answer = await self.handler(parameters, *body)
        response = answer if isinstance(answer, Response) else json_response(answer)
        return conditional(request, response) if self.has_tag else response


def routes_of(operations: Iterable[Operation], gate: Gate) -> list[Route]:
    """One route for all methods of a path: the router can then say which of them there are. HEAD comes with GET, OPTIONS with all."""
    by_path: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in operations:
        by_path[operation.path][operation.method] = operation
    return [Route(path, _endpoint(methods, gate), methods=[*methods, "OPTIONS"]) for path, methods in by_path.items()]


def _endpoint(methods: dict[str, Operation], gate: Gate) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        if method == "OPTIONS":
            return options_response(methods)
        return await methods[method].respond(request, gate)

    return endpoint
