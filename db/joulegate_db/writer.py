"""The writer: a batch of messages becomes history, live state, presence and quarantine in one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from joulegate_core.reasons import Reason
from joulegate_core.telemetry import Message, MeterReading, Rejection, Stream, VehicleReading
from joulegate_db.connect import WRITER_SETTINGS, connect
from joulegate_db.migrate import require_schema
from joulegate_db.presence import PresenceCache
from joulegate_db.quarantine import quarantine
from joulegate_db.sql import query
from joulegate_db.streams import METER_TABLES, VEHICLE_TABLES, StreamTables

Key = tuple[str, datetime]

TRANSACTION_TIMEOUT_SECONDS = 90.0
"""Longer than the session's statement timeout: it ends a wait for a server that no longer answers at all."""

_CONFLICT = Rejection(
    Reason.CONFLICT, "another reading of this device with this timestamp but other content was accepted before"
)


class StreamTally(msgspec.Struct):
    """How the messages of one stream were settled; the three add up to the messages written."""

    committed: int = 0
    duplicate: int = 0
    quarantined: int = 0


Tally = dict[Stream, StreamTally]


class Writer:
    """Writes batches over one connection of its own. Idempotent: the same batch again changes nothing but quarantine's counts."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._presence = PresenceCache()

    @classmethod
    async def open(cls, url: str) -> "Writer":
        """Connects, checks the schema and creates the staging tables.

        Raises:
            DatabaseUnavailableError: the server cannot be reached or refuses.
            SchemaMismatchError: the schema is not this version's.
        """
        connection = await connect(url, WRITER_SETTINGS)
        try:
            await require_schema(connection)
            await connection.execute(query("stage"))
        except BaseException:
            connection.terminate()
            raise
        return cls(connection)

    @property
    def is_closed(self) -> bool:
        """True once the connection is gone; open a new writer then."""
        return bool(self._connection.is_closed())

    def terminate(self) -> None:
        """Drops the connection at once, without a word to the server."""
        self._connection.terminate()

    async def write(self, messages: Sequence[Message], received_at: datetime) -> Tally:
        """Commits `messages`, in one transaction, and returns how each was settled.

        The first content of a (device, timestamp) wins, within the batch too, in the order given.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: nothing was committed, or the
                connection broke and it is not known; writing the same batch again is right in both cases. The
                cases are told apart by `joulegate_db.failures`.
        """
        tally: Tally = {stream: StreamTally() for stream in Stream}
        refused = [m for m in messages if type(m.content) is Rejection]
        meters = [m for m in messages if type(m.content) is MeterReading]
        vehicles = [m for m in messages if type(m.content) is VehicleReading]
        # always in this order: two gateways never wait for each other in a circle
        async with self._connection.transaction():
            refused += await self._append_stream(METER_TABLES, meters, received_at, tally[Stream.METER])
            refused += await self._append_stream(VEHICLE_TABLES, vehicles, received_at, tally[Stream.VEHICLE])
            marks = self._presence.unmarked(messages, without=refused)
            await self._presence.insert(self._connection, marks)
            await quarantine(self._connection, refused, received_at)
        self._presence.remember(marks)
        for message in refused:
            tally[message.stream].quarantined += 1
        return tally

    async def _append_stream(
        self, tables: StreamTables, messages: list[Message], received_at: datetime, tally: StreamTally
    ) -> list[Message]:
        """Appends one stream; returns the messages that conflict with what was accepted before them."""
        conflicts: list[Message] = []
        waiting = messages
        while waiting:
            wave, waiting = _split_by_first_of_key(waiting)
            conflicts += await self._append_wave(tables, wave, received_at, tally)
            if waiting:  # the same key again in this batch: it meets the first one in history
                await self._connection.execute(query(f"clear_{tables.stage}"))
        return conflicts

    async def _append_wave(
        self, tables: StreamTables, wave: dict[Key, Message], received_at: datetime, tally: StreamTally
    ) -> list[Message]:
        record = tables.record
        await self._connection.copy_records_to_table(
            tables.stage, records=[record(m.content) for m in wave.values()], columns=tables.columns
        )
        committed = await self._connection.fetchval(tables.append, received_at)
        tally.committed += committed
        if committed == len(wave):
            return []
        times = [ts for _, ts in wave]
        rows = await self._connection.fetch(tables.conflicts, min(times), max(times))
        conflicts = [_as_conflict(wave[row["device"], row["ts"]]) for row in rows]
        tally.duplicate += len(wave) - committed - len(conflicts)
        return conflicts


def _split_by_first_of_key(messages: list[Message]) -> tuple[dict[Key, Message], list[Message]]:
    """The first message of each (device, ts), and the rest in order."""
    first: dict[Key, Message] = {}
    rest: list[Message] = []
    for message in messages:
        content: Any = message.content
        if first.setdefault((content.device, content.ts), message) is not message:
            rest.append(message)
    return first, rest


def _as_conflict(message: Message) -> Message:
    return msgspec.structs.replace(message, content=_CONFLICT)
