"""JSON responses."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from joulegate_http.schemas import Wire


def json_response(body: Wire, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """`body` as JSON."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")
