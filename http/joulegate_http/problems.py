"""Every error that a client can meet: its code, its status, what it says. All leave as RFC 9457 problem documents."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

import msgspec
import structlog
from msgspec import UNSET, UnsetType
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from joulegate_core.errors import DatabaseUnavailableError, SchemaMismatchError
from joulegate_db.reader import QueryTimeoutError
from joulegate_http.schemas import Link, Problem

log = structlog.get_logger()

TYPE_PREFIX = "urn:joulegate:problem:"
MEDIA_TYPE = "application/problem+json"

RETRY_SECONDS = 5
"""For an outage: about as long as a database takes to restart."""
RETRY_TIMEOUT_SECONDS = 30
"""For an answer that took too long: at once it would again."""


class ProblemError(Exception):
    """An error that the client caused or can understand.

    Args:
        code: stable, for programs: lower case with underscores.
        detail: what is wrong with this request and what to do.
        link: the link in the way of a change.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        link: Link | UnsetType = UNSET,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.link = link


def bad_request(code: str, detail: str) -> ProblemError:
    """400: the request cannot be answered as it was put."""
    return ProblemError(HTTPStatus.BAD_REQUEST, code, detail)


def not_found(code: str, detail: str) -> ProblemError:
    """404: there is no such thing."""
    return ProblemError(HTTPStatus.NOT_FOUND, code, detail)


def problem_response(problem: ProblemError, path: str, request_id: str) -> Response:
    """The problem as a response. `path` is the request's, decoded."""
    body = Problem(
        type=TYPE_PREFIX + problem.code.replace("_", "-"),
        title=problem.status.phrase,
        status=problem.status,
        detail=problem.detail,
        instance=quote(path),
        code=problem.code,
        request_id=request_id,
        link=problem.link,
    )
    return Response(msgspec.json.encode(body), problem.status, problem.headers, MEDIA_TYPE)


async def on_problem(request: Request, error: Exception) -> Response:
    """Starlette's handler of everything that `as_problem` knows."""
    return problem_response(as_problem(error), request.url.path, request.state.request_id)


def as_problem(error: Exception) -> ProblemError:
    """The problem that the client gets for an exception. What a client must not see of an outage is logged here."""
    match error:
        case ProblemError():
            return error
        case HTTPException():
            return _of_routing(error)
        case QueryTimeoutError():
            log.warning("answer_too_slow")
            return _try_again(
                RETRY_TIMEOUT_SECONDS,
                "answer_too_slow",
                "The database took too long to answer. Ask for a shorter window, or try again later.",
            )
        case DatabaseUnavailableError():
            log.warning("database_unavailable", error=str(error))
            return _try_again(
                RETRY_SECONDS, "database_unavailable", "The database cannot be used at the moment. Try again later."
            )
        case SchemaMismatchError():
            log.error("schema_mismatch", error=str(error))
            return _try_again(
                RETRY_SECONDS, "schema_mismatch", f"The service and the database do not fit each other: {error}."
            )
        case _:
            return _internal_error()


EXPECTED = (ProblemError, HTTPException, DatabaseUnavailableError, SchemaMismatchError)
"""What `on_problem` is to be registered for."""


def _internal_error() -> ProblemError:
    """500: our fault; says nothing of what went wrong inside."""
    return ProblemError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "The answer failed for a reason that is not yours. The request id leads to the cause in the service's log.",
    )


def _try_again(seconds: int, code: str, detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, headers={"Retry-After": str(seconds)})


def _of_routing(error: HTTPException) -> ProblemError:
    """What Starlette's router raises: no such route, or a route without this method."""
    status = HTTPStatus(error.status_code)
    if status == HTTPStatus.NOT_FOUND:
        return not_found("not_found", "There is no such route. The API's routes begin with /v1/.")
    headers = dict(error.headers or {})
    if allowed := headers.pop("Allow", None):  # a set inside Starlette: sort it
        headers["Allow"] = ", ".join(sorted(allowed.split(", ")))
        return ProblemError(
            status, "method_not_allowed", f"This route answers to {headers['Allow']} only.", headers=headers
        )
    return ProblemError(status, status.name.lower(), error.detail, headers=headers)
