"""Every code that a problem can have: its status, and what it means. Routes name the codes that they can give."""

from enum import StrEnum
from http import HTTPStatus
from typing import Self


class Code(StrEnum):
    """Why a request failed. Stable, for programs; docs/api.md lists them."""

    status: HTTPStatus
    meaning: str

    def __new__(cls, code: str, status: HTTPStatus, meaning: str) -> Self:
        """A code with its status and one sentence for the document."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.status = status
        member.meaning = meaning
        return member

    UNKNOWN_PARAMETER = "unknown_parameter", HTTPStatus.BAD_REQUEST, "A parameter that the route does not know."
    REPEATED_PARAMETER = "repeated_parameter", HTTPStatus.BAD_REQUEST, "A parameter is given more than once."
    BAD_ID = "bad_id", HTTPStatus.BAD_REQUEST, "An id does not obey the rule of ids."
    BAD_NUMBER = "bad_number", HTTPStatus.BAD_REQUEST, "Not a whole number, or out of range."
    BAD_CHOICE = "bad_choice", HTTPStatus.BAD_REQUEST, "Not one of the values that there are."
    BAD_TIME = "bad_time", HTTPStatus.BAD_REQUEST, "Not an RFC 3339 time."
    NAIVE_TIME = "naive_time", HTTPStatus.BAD_REQUEST, "A time without an offset."
    TIME_OUT_OF_RANGE = "time_out_of_range", HTTPStatus.BAD_REQUEST, "A time before 1970 or after 9999-01-01T00:00:00Z."
    EMPTY_WINDOW = "empty_window", HTTPStatus.BAD_REQUEST, "`from` is not before `to`."
    WINDOW_TOO_LONG = "window_too_long", HTTPStatus.BAD_REQUEST, "The window is longer than the route answers for."
    TOO_MANY_POINTS = "too_many_points", HTTPStatus.BAD_REQUEST, "The bucket is too small for the window."
    EMPTY_VALIDITY = "empty_validity", HTTPStatus.BAD_REQUEST, "`validTo` is not after `validFrom`."
    BAD_JSON = "bad_json", HTTPStatus.BAD_REQUEST, "The body is not JSON in UTF-8, or ended early."
    BAD_FIELD = "bad_field", HTTPStatus.BAD_REQUEST, "A field of the body is missing, unknown or of another type."
    MALFORMED_REQUEST = "malformed_request", HTTPStatus.BAD_REQUEST, "Not a request of HTTP/1.1; the connection ends."
    UNAUTHORIZED = "unauthorized", HTTPStatus.UNAUTHORIZED, "There is no token, or not one of the service's."
    FORBIDDEN = (
        "forbidden",
        HTTPStatus.FORBIDDEN,
        "The token has not the role that this needs; without tokens: a page of another origin.",
    )
    NOT_FOUND = "not_found", HTTPStatus.NOT_FOUND, "There is no such route."
    VEHICLE_NOT_FOUND = "vehicle_not_found", HTTPStatus.NOT_FOUND, "No reading of this vehicle was accepted yet."
    METER_NOT_FOUND = "meter_not_found", HTTPStatus.NOT_FOUND, "No reading of this meter was accepted yet."
    LINK_NOT_FOUND = "link_not_found", HTTPStatus.NOT_FOUND, "There is no link with this id."
    QUARANTINE_NOT_FOUND = (
        "quarantine_not_found",
        HTTPStatus.NOT_FOUND,
        "Quarantine has no message with this id.",
    )
    METHOD_NOT_ALLOWED = "method_not_allowed", HTTPStatus.METHOD_NOT_ALLOWED, "`Allow` has the methods that there are."
    NOT_ACCEPTABLE = "not_acceptable", HTTPStatus.NOT_ACCEPTABLE, "`Accept` excludes what the route gives."
    BODY_TOO_SLOW = "body_too_slow", HTTPStatus.REQUEST_TIMEOUT, "The body did not come in time; the connection ends."
    LINK_CONFLICT = "link_conflict", HTTPStatus.CONFLICT, "The meter has another vehicle for some of the time."
    BODY_TOO_LARGE = "body_too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is larger than 8 KiB."
    URL_TOO_LONG = "url_too_long", HTTPStatus.REQUEST_URI_TOO_LONG, "The URL is too long; the connection ends."
    UNSUPPORTED_MEDIA_TYPE = (
        "unsupported_media_type",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body must be application/json.",
    )
    HEADERS_TOO_LARGE = (
        "headers_too_large",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The headers are larger than 16 KiB; the connection ends.",
    )
    RATE_LIMITED = (
        "rate_limited",
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many costly questions in a short time; `Retry-After` says when there will be room.",
    )
    INTERNAL_ERROR = (
        "internal_error",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "A fault of the service; its log has the cause.",
    )
    DATABASE_UNAVAILABLE = (
        "database_unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database is out of reach, or fails for a reason that passes.",
    )
    DATABASE_BUSY = (
        "database_busy",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "All connections to the database are taken by other questions.",
    )
    REPLICA_CONFLICT = (
        "replica_conflict",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The read replica cancelled the question for the sake of replication.",
    )
    ANSWER_TOO_SLOW = "answer_too_slow", HTTPStatus.SERVICE_UNAVAILABLE, "The database took too long to answer."
    SCHEMA_MISMATCH = (
        "schema_mismatch",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The service and the database's schema do not fit each other.",
    )
    STREAM_FULL = (
        "stream_full",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The stream has as many clients as it can have.",
    )
    STOPPING = "stopping", HTTPStatus.SERVICE_UNAVAILABLE, "The service is stopping; another one may answer."
