"""The JSON body of a request: its type, its size, its time, its fields, and what a client is told about each."""

import asyncio
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from joulegate_http.codes import Code
from joulegate_http.problems import ProblemError

MAX_BODY_BYTES = 8 * 1024
"""As much as a message may have; a link has about 200 bytes."""

BODY_SECONDS = 5.0
"""How long a body may take to arrive. Less than the server waits for a whole request, so that the client is told why."""

BODY_CODES = (
    Code.UNSUPPORTED_MEDIA_TYPE, Code.BODY_TOO_LARGE, Code.BODY_TOO_SLOW, Code.BAD_JSON, Code.BAD_FIELD,
)  # fmt: skip

BodyT = TypeVar("BodyT", bound=msgspec.Struct)


async def json_body(request: Request, kind: type[BodyT]) -> BodyT:
    """The body as `kind`.

    Raises:
        ProblemError: one of `BODY_CODES`; the detail of `bad_field` names the field.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(Code.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON: Content-Type: application/json.")
    body = await _read(request)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise ProblemError(Code.BAD_FIELD, f"{_in_words(error)}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProblemError(Code.BAD_JSON, "The body is not valid JSON in UTF-8.") from None


async def _read(request: Request) -> bytes:
    """Reads no more than the limit, whatever Content-Length says, and for no longer than a body may take."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise ProblemError(Code.BODY_TOO_LARGE, f"A body has at most {MAX_BODY_BYTES} bytes.")
    except ClientDisconnect:
        raise ProblemError(Code.BAD_JSON, "The body ended early.") from None
    except TimeoutError:
        raise ProblemError(
            Code.BODY_TOO_SLOW,
            f"The body did not arrive within {BODY_SECONDS:g} seconds.",
            headers={"Connection": "close"},
        ) from None
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
