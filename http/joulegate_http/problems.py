"""How every error leaves: as an RFC 9457 problem document with a code."""

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

import msgspec
import structlog
from msgspec import UNSET, UnsetType
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from joulegate_core.errors import DatabaseUnavailableError, PoolerError, SchemaMismatchError
from joulegate_db.checked_pool import DatabaseBusyError, QueryTimeoutError, ReplicaConflictError
from joulegate_http.answer_headers import completed
from joulegate_http.codes import Code
from joulegate_http.schemas import Link, Problem

log = structlog.get_logger()

TYPE_PREFIX = "urn:joulegate:problem:"
MEDIA_TYPE = "application/problem+json"

RETRY_SECONDS = 5
"""For an outage: about as long as a database takes to restart."""
RETRY_CONFLICT_SECONDS = 1
"""For a replica that is past the conflict as soon as it has cancelled what stood in its way."""
RETRY_TIMEOUT_SECONDS = 30
"""For an answer that took too long: at once it would again."""


class ProblemError(Exception):
    """An error that the client caused or can understand.

    Args:
        detail: what is wrong with this request and what to do.
        link: the link in the way of a change.
    """

    def __init__(
        self, code: Code, detail: str, *, headers: Mapping[str, str] | None = None, link: Link | UnsetType = UNSET
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.link = link


def problem_response(problem: ProblemError, path: str, request_id: str) -> Response:
    """The problem as a response. `path` is the request's, decoded."""
    status = problem.code.status
    body = Problem(
        type=TYPE_PREFIX + problem.code.replace("_", "-"),
        title=status.phrase,
        status=status,
        detail=problem.detail,
        instance=quote(path),
        code=problem.code,
        request_id=request_id,
        link=problem.link,
    )
    return Response(msgspec.json.encode(body), status, problem.headers, MEDIA_TYPE)


async def on_problem(request: Request, error: Exception) -> Response:
    """Starlette's handler of everything that `as_problem` knows."""
    return problem_response(as_problem(error), request.url.path, request.state.request_id)


def as_problem(error: Exception) -> ProblemError:
    """The problem that the client gets for an exception. What a client must not see of an outage is logged here."""
    match error:
        case ProblemError():
            return error
        case HTTPException(status_code=HTTPStatus.NOT_FOUND):
            return ProblemError(Code.NOT_FOUND, "There is no such route. The API's routes begin with /v1/.")
        case HTTPException(status_code=HTTPStatus.METHOD_NOT_ALLOWED):
            return _method_not_allowed((error.headers or {}).get("Allow", "GET, HEAD"))
        case DatabaseUnavailableError() | PoolerError() | SchemaMismatchError():
            return _of_database(error)
        case _:
            return _internal_error()


EXPECTED = (ProblemError, HTTPException, DatabaseUnavailableError, PoolerError, SchemaMismatchError)
"""What `on_problem` is to be registered for."""


def refusal(status: HTTPStatus) -> Response:
    """The response to what the server cannot read as a request; so there is no path to name. `status`: as HTTP has it."""
    match status:
        case HTTPStatus.REQUEST_URI_TOO_LONG:
            code, detail = Code.URL_TOO_LONG, "The URL and the headers have at most 16 KiB."
        case HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            code, detail = Code.HEADERS_TOO_LARGE, "The URL and the headers have at most 16 KiB."
        case _:
            code, detail = Code.MALFORMED_REQUEST, "This is not a request of HTTP/1.1."
    request_id = uuid.uuid4().hex
    response = problem_response(ProblemError(code, detail), "", request_id)
    response.raw_headers = completed(response.raw_headers, request_id)
    return response


def stopping() -> ProblemError:
    """503: for a request that is not answered when the service stops."""
    return _try_again(RETRY_SECONDS, Code.STOPPING, "The service is stopping. Try again.")


def _of_database(error: DatabaseUnavailableError | PoolerError | SchemaMismatchError) -> ProblemError:
    match error:
        case QueryTimeoutError():
            log.warning("answer_too_slow")
            return _try_again(
                RETRY_TIMEOUT_SECONDS,
                Code.ANSWER_TOO_SLOW,
                "The database took too long to answer. Ask for a shorter window, or try again later.",
            )
        case DatabaseBusyError():
            log.warning("database_busy")
            return _try_again(
                RETRY_SECONDS, Code.DATABASE_BUSY, "The database is busy with other questions. Try again later."
            )
        case ReplicaConflictError():
            log.warning("replica_conflict")
            return _try_again(
                RETRY_CONFLICT_SECONDS,
                Code.REPLICA_CONFLICT,
                "The read replica cancelled this question to go on replicating. Try again, or ask for a shorter window.",
            )
        case DatabaseUnavailableError() | PoolerError():
            log.warning("database_unavailable", error=str(error))
            return _try_again(
                RETRY_SECONDS, Code.DATABASE_UNAVAILABLE, "The database cannot be used at the moment. Try again later."
            )
        case SchemaMismatchError():
            log.error("schema_mismatch", error=str(error))
            return _try_again(
                RETRY_SECONDS, Code.SCHEMA_MISMATCH, f"The service and the database do not fit each other: {error}."
            )


def _internal_error() -> ProblemError:
    """500: our fault; says nothing of what went wrong inside."""
    return ProblemError(
        Code.INTERNAL_ERROR,
        "The answer failed for a reason that is not yours. The request id leads to the cause in the service's log.",
    )


def _try_again(seconds: int, code: Code, detail: str) -> ProblemError:
    return ProblemError(code, detail, headers={"Retry-After": str(seconds)})


def _method_not_allowed(allowed: str) -> ProblemError:
    methods = ", ".join(sorted(allowed.split(", ")))  # a set inside Starlette: sort it
    return ProblemError(Code.METHOD_NOT_ALLOWED, f"This route answers to {methods} only.", headers={"Allow": methods})
