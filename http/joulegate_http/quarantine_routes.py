"""Quarantine: look, and try a message again."""

from typing import Annotated

from msgspec import Meta

from joulegate_db.quarantine import Quarantined, quarantine_page, quarantine_totals
from joulegate_db.reader import Reader
from joulegate_db.replay import Replayer
from joulegate_http.codes import Code
from joulegate_http.operation import DATABASE_CODES, Operation
from joulegate_http.parameters import Parameters
from joulegate_http.problems import ProblemError
from joulegate_http.rules import CursorParameter, QuarantineParameter, ReasonParameter
from joulegate_http.schemas import Quarantine, QuarantinedItem, QuarantineTotal, Replayed, answer

HIGHEST_ID = 10**18


class QuarantineParameters(Parameters, frozen=True, kw_only=True):
    """Which messages."""

    reason: ReasonParameter | None = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="The length of a page.")] = 100
    cursor: CursorParameter | None = None


class ReplayParameters(Parameters, frozen=True, kw_only=True):
    """A message."""

    quarantine_id: QuarantineParameter


def quarantine_operations(reader: Reader, replayer: Replayer | None) -> list[Operation]:
    """What looks into quarantine, and, with `replayer`, what tries a message again."""

    async def list_quarantine(asked: QuarantineParameters) -> Quarantine:
        before = HIGHEST_ID if asked.cursor is None else int(asked.cursor)
        async with reader.snapshot() as connection:
            found = await quarantine_page(connection, asked.reason, before, asked.limit + 1)  # one more: a next page?
            totals = await quarantine_totals(connection)
        page = tuple(_item(one) for one in found[: asked.limit])
        next_cursor = str(page[-1].id) if len(found) > asked.limit else None
        return Quarantine(page, next_cursor, tuple(answer(QuarantineTotal, one) for one in totals))

    looking = Operation(
        method="GET",
        path="/v1/quarantine",
        handler=list_quarantine,
        tag="operations",
        summary="Messages that could not be accepted, newest first",
        parameters=QuarantineParameters,
        answer=Quarantine,
        codes=DATABASE_CODES,
    )
    return [looking] if replayer is None else [looking, _replaying(replayer)]


def _replaying(replayer: Replayer) -> Operation:
    async def replay_message(asked: ReplayParameters) -> Replayed:
        result = await replayer.one(asked.quarantine_id)
        if result is None:
            raise ProblemError(
                Code.QUARANTINE_NOT_FOUND, "Quarantine has no message with this id; it may have been replayed."
            )
        return answer(Replayed, result)

    return Operation(
        method="POST",
        path="/v1/quarantine/{quarantineId}/replay",
        handler=replay_message,
        tag="operations",
        summary="Try a message again",
        description="By today's rules and settings, the clock window included. When it is accepted it leaves quarantine.",
        parameters=ReplayParameters,
        answer=Replayed,
        codes=DATABASE_CODES,
    )


def _item(one: Quarantined) -> QuarantinedItem:
    return QuarantinedItem(
        id=one.id,
        reason=one.reason,
        detail=one.detail,
        topic=one.topic,
        payload=one.payload.decode("utf-8", "replace"),
        payload_truncated=one.payload_truncated,
        count=one.count,
        first_seen=one.first_seen,
        last_seen=one.last_seen,
    )
