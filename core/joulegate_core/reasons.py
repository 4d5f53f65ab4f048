"""Reason codes of quarantine: why a message could not be accepted. Documented in docs/messages.md."""

from enum import StrEnum


class Reason(StrEnum):
    """One code a rule, stable: operators filter and count by them."""

    OVERSIZE = "oversize"
    EMPTY = "empty"
    NOT_UTF8 = "not_utf8"
    BAD_JSON = "bad_json"
    BAD_TOPIC = "bad_topic"
    STREAM_MISMATCH = "stream_mismatch"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    BAD_ID = "bad_id"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_OLD = "too_old"
    TOO_FAR_AHEAD = "too_far_ahead"
    WRONG_PLACE = "wrong_place"
    CONFLICT = "conflict"
    DATABASE_REFUSED = "database_refused"
