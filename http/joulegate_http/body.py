"""The JSON body of a request: its type, its size, its fields, and what a client is told about each."""

from http import HTTPStatus
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from joulegate_http.problems import ProblemError, bad_request

MAX_BODY_BYTES = 8 * 1024
"""As much as a message may have; a link has about 200 bytes."""

BodyT = TypeVar("BodyT", bound=msgspec.Struct)


async def json_body(request: Request, kind: type[BodyT]) -> BodyT:
    """The body as `kind`.

    Raises:
        ProblemError: `unsupported_media_type` (415), `body_too_large` (413), `bad_json`, `bad_field` (400; the detail names
            the field).
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body must be JSON: Content-Type: application/json.",
        )
    body = await _read(request)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise bad_request("bad_field", f"{_in_words(error)}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_request("bad_json", "The body is not valid JSON in UTF-8.") from None


async def _read(request: Request) -> bytes:
    """Reads no more than the limit, whatever Content-Length says."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise ProblemError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", f"A body has at most {MAX_BODY_BYTES} bytes."
                )
    except ClientDisconnect:
        raise bad_request("bad_json", "The body ended early.") from None
    return bytes(body)


def _in_words(error: msgspec.ValidationError) -> str:
    """msgspec's message, which names the field and the type wanted and repeats nothing that the client sent but names of fields."""
    said, _, path = str(error).partition(" - at ")
    field = path.strip("`").removeprefix("$").removeprefix(".")
    if "timezone component" in said:
        said = "Expected a time with an offset, such as 2026-05-01T00:00:00Z"
    elif "RFC3339" in said:
        said = "Expected an RFC 3339 time with an offset, such as 2026-05-01T00:00:00Z"
    return f"{field}: {said}" if field else said
