"""The OpenAPI 3.1 document, made from what answers: operations, their parameters, and the types on the wire.

https://spec.openapis.org/oas/v3.1.0
"""

import inspect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.responses import Response

from joulegate_http.codes import Code
from joulegate_http.operation import JSON, Operation, Success
from joulegate_http.parameters import Parameter, Parameters
from joulegate_http.problems import MEDIA_TYPE as PROBLEM
from joulegate_http.schemas import Problem, Wire

Json = dict[str, Any]

REF = "#/components/schemas/{name}"

DESCRIPTION = """\
What a fleet's meters and vehicles reported, and what follows from it.

Energies are kWh, temperatures degrees Celsius, times RFC 3339 in UTC. Null is not known, never zero. Windows are half-open,
`[from, to)`. Unknown and repeated parameters are refused. HEAD is answered wherever GET is, OPTIONS everywhere.

Every answer has an `X-Request-Id`: the client's own when it sends one that obeys the rule of ids. Errors are
`application/problem+json` (RFC 9457) with a `code` for programs. After 503, `Retry-After` says in how many seconds to try again;
every operation can be repeated without harm.

Everything under `/v1/` needs a bearer token when the service has tokens: to read one with the role `read` or `operate`, to change
something one with `operate`. Answers come in gzip when asked for. An answer with an `ETag` is 304 to the same in `If-None-Match`."""

TAGS = {
    "analytics": "What the readings amount to.",
    "state": "What a device reported last.",
    "links": "Which meter measures which vehicle, and when.",
    "operations": "Liveness, readiness, metrics, this document.",
}

HEADERS = {
    "X-Request-Id": ("The request's id, also in the log.", {"type": "string"}),
    "Retry-After": ("Seconds.", {"type": "integer", "minimum": 1}),
    "WWW-Authenticate": ("What is missing, as RFC 6750 has it.", {"type": "string"}),
    "ETag": ("Of the answer, for `If-None-Match`.", {"type": "string"}),
    "Location": ("The link's own path.", {"type": "string", "format": "uri-reference"}),
}


SCHEME = "token"

PROBLEM_HEADERS = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}
"""What comes with problems of a status besides the request's id."""

SAME = Success(HTTPStatus.NOT_MODIFIED, "The client has the answer already.", ("ETag",))


def openapi_operation(others: Sequence[Operation], *, is_closed: bool) -> Operation:
    """The operation that gives the document of all operations, itself included. `is_closed`: callers need a token."""

    async def get_document(_: Parameters) -> Response:
        return Response(encoded, media_type=JSON)

    own = Operation(
        method="GET",
        path="/openapi.json",
        handler=get_document,
        tag="operations",
        summary="This document",
        answer=JSON,
        has_tag=True,
    )
    encoded = msgspec.json.encode(document([*others, own], is_closed=is_closed))
    return own


def document(operations: Sequence[Operation], *, is_closed: bool) -> Json:
    """The document as JSON values."""
    paths: dict[str, Json] = defaultdict(dict)
    for operation in operations:
        paths[operation.path][operation.method.lower()] = _operation(operation, is_closed=is_closed)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "joulegate",
            "version": version("joulegate"),
            "summary": "Charging efficiency of an energy fleet.",
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": meaning} for name, meaning in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "securitySchemes": {SCHEME: {"type": "http", "scheme": "bearer", "description": _of_tokens(is_closed)}},
            "headers": {
                name: {"description": meaning, "schema": schema} for name, (meaning, schema) in HEADERS.items()
            },
        },
    }


def _schemas(operations: Iterable[Operation]) -> Json:
    kinds = {kind for one in operations for kind in (one.answer, one.body) if isinstance(kind, type)} | {Problem}
    _, components = msgspec.json.schema_components(sorted(kinds, key=lambda kind: kind.__name__), ref_template=REF)
    for schema in components.values():
        schema["description"] = inspect.cleandoc(schema["description"])
    return components


def _of_tokens(is_closed: bool) -> str:  # noqa: FBT001 - one thing to say or the other
    return (
        "A token of this service." if is_closed else "Not asked for by this service as it is set up: it has no tokens."
    )


def _security(operation: Operation, *, is_closed: bool) -> list[Json]:
    if operation.role is None:
        return []
    needed: Json = {SCHEME: [operation.role]}
    return [needed] if is_closed else [needed, {}]


def _operation(operation: Operation, *, is_closed: bool) -> Json:
    successes = (*operation.successes, SAME) if operation.has_tag else operation.successes
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [_parameter(one) for one in operation.reader.parameters],
        "responses": {
            **{str(one.status.value): _success(operation, one) for one in successes},
            **_problems(operation.all_codes),
        },
        "security": _security(operation, is_closed=is_closed),
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _content(JSON, operation.body)}
    return {key: value for key, value in described.items() if value or key == "security"}


def _parameter(parameter: Parameter) -> Json:
    schema = dict(parameter.schema)
    return {
        "name": parameter.name,
        "in": "path" if parameter.in_path else "query",
        "required": parameter.in_path,
        "description": schema.pop("description"),
        "schema": schema,
    }


def _success(operation: Operation, success: Success) -> Json:
    tag = ("ETag",) if operation.has_tag and success is not SAME else ()
    response = _response(success.meaning, (*success.headers, *tag))
    match operation.answer if success is not SAME else None:
        case str() as media_type:
            response["content"] = {media_type: {}}
        case type() as kind:
            response["content"] = _content(JSON, kind)
    return response


def _problems(codes: Iterable[Code]) -> Json:
    """A response for each status, that names the codes under it."""
    by_status: dict[HTTPStatus, list[Code]] = defaultdict(list)
    for code in sorted(codes):
        by_status[code.status].append(code)
    return {str(status.value): _problem(status, by_status[status]) for status in sorted(by_status)}


def _problem(status: HTTPStatus, codes: Sequence[Code]) -> Json:
    meaning = "\n".join(f"- `{code}`: {code.meaning}" for code in codes)
    response = _response(meaning, PROBLEM_HEADERS.get(status, ()))
    of_these = {"properties": {"code": {"enum": list(codes)}}}
    response["content"] = {PROBLEM: {"schema": {"allOf": [_reference(Problem), of_these]}}}
    return response


def _response(meaning: str, headers: Sequence[str]) -> Json:
    names = ("X-Request-Id", *headers)
    return {"description": meaning, "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}}


def _content(media_type: str, kind: type[Wire]) -> Json:
    return {media_type: {"schema": _reference(kind)}}


def _reference(kind: type[Wire]) -> Json:
    return {"$ref": REF.format(name=kind.__name__)}
