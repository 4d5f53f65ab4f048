"""Sorts what the database raises, in one place: is a row refused for good, or is the batch to be held and tried again?

SQLSTATE classes 22 (data exception) and 23 (integrity constraint violation) speak of a row. The exception is 23514
without a constraint's name: "no partition of relation found for row", a partition that is missing and that the gateway
makes. All else speaks of the server, the connection or the schema, passes, and must not cost a reading (PostgreSQL
documentation, appendix A).
"""

import asyncpg

from joulegate_core.errors import JoulegateError

PERMANENT_CLASSES = frozenset({"22", "23"})

DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    ValueError,  # COPY: a value that the binary codec cannot encode, raised before anything is sent
)
"""Everything that asyncpg raises when a statement or a connection fails."""


def is_missing_partition(error: BaseException) -> bool:
    """True for a row whose day has no partition yet."""
    return isinstance(error, asyncpg.CheckViolationError) and error.constraint_name is None


def is_permanent(error: BaseException) -> bool:
    """True when trying again cannot help, because the database refuses a row for its content."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in PERMANENT_CLASSES and not is_missing_partition(error)
    # an SSLCertVerificationError is an OSError and a ValueError: it speaks of the connection
    return isinstance(error, ValueError) and not isinstance(error, asyncpg.InterfaceError | OSError)


def needs_new_connection(error: BaseException) -> bool:
    """True when the connection is not to be used again: its state is in doubt, or it leads to a server that only reads."""
    return not isinstance(error, asyncpg.PostgresError) or error.sqlstate == "25006"


def describe(error: BaseException) -> str:
    """One short line for logs and quarantine: the SQLSTATE and the constraint, never a row's content."""
    if isinstance(error, asyncpg.PostgresError):
        constraint = getattr(error, "constraint_name", None)
        named = f", constraint {constraint}" if constraint else ""
        return f"SQLSTATE {error.sqlstate} {type(error).__name__}{named}"
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error.__context__, asyncpg.PostgresError):
        return describe(error.__context__)  # why the connection was closed under a ROLLBACK
    if isinstance(error, JoulegateError):
        return str(error)
    return type(error).__name__
