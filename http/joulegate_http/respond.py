"""JSON responses."""

import msgspec
from starlette.responses import Response

from joulegate_http.schemas import Wire


def json_response(body: Wire) -> Response:
    """200 with `body` as JSON."""
    return Response(msgspec.json.encode(body), media_type="application/json")
