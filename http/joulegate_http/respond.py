"""Responses: JSON, and what OPTIONS answers."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from joulegate_http.schemas import Wire


def json_response(body: Wire, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """`body` as JSON."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def options_response(methods: Iterable[str]) -> Response:
    """204, with the methods of a route and those that come with them."""
    there = {*methods, "OPTIONS"}
    allow = ", ".join(sorted(there | {"HEAD"} if "GET" in there else there))
    return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Allow": allow})
