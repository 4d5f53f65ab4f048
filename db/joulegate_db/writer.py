"""The writer: a batch of messages becomes history, live state, presence and quarantine in one transaction."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec
from msgspec.structs import astuple

from joulegate_core.reasons import Reason
from joulegate_core.telemetry import Message, MeterReading, Rejection, Stream, VehicleReading
from joulegate_db.citus import distributed_form, is_distributed
from joulegate_db.connect import WRITER_SETTINGS, connect, require_settings, unavailable
from joulegate_db.failures import DATABASE_ERRORS
from joulegate_db.migrate import require_schema
from joulegate_db.presence import PresenceCache
from joulegate_db.quarantine import DEFAULT_MAX_BYTES, quarantine
from joulegate_db.sql import query
from joulegate_db.steps import Steps
from joulegate_db.streams import METER_TABLES, VEHICLE_TABLES, StreamTables

TRANSACTION_TIMEOUT_SECONDS = 90.0
"""Longer than the session's statement timeout: it ends a wait for a server that no longer answers at all."""

OPTIMISTIC_FROM = 1000
"""A batch of so many messages is a backlog's, and is written as if all were new. A smaller one has no need to be fast."""

CAUTIOUS_BATCHES = 100
"""Where one reading was there already there may be more: so many batches, at least, are written without that hope."""

CONFLICT = Rejection(
    Reason.CONFLICT, "another reading of this device with this timestamp but other content was accepted before"
)


class StreamTally(msgspec.Struct):
    """How the messages of one stream were settled; the first three add up to the messages written.

    `overflowed`, by reason: how many of `quarantined` were only counted, because quarantine's cap was reached.
    """

    committed: int = 0
    duplicate: int = 0
    quarantined: int = 0
    overflowed: Counter[str] = msgspec.field(default_factory=Counter)


Tally = dict[Stream, StreamTally]


class Replay(msgspec.Struct, frozen=True):
    """A row of quarantine, by its id, whose message is a reading by today's rules."""

    id: int
    message: Message


class ReplayTally(msgspec.Struct, frozen=True):
    """How replayed messages were settled. `conflicts`: ids of those that stay in quarantine, as do the `archived`, whose days are in
    files; `gone`: ids of no row any more.
    """

    committed: int
    duplicate: int
    conflicts: tuple[int, ...]
    archived: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()


class _Run(msgspec.Struct):
    """One try to write a batch. `all_new`: with the hope that none of its readings is there already; `written`: its transaction, once
    it has one.
    """

    received_at: datetime
    all_new: bool
    steps: Steps
    written: int = 0


class _GoneError(Exception):
    """Rows are not there any more; carries the ids of those that are."""

    def __init__(self, there: frozenset[int]) -> None:
        super().__init__()
        self.there = there


class Writer:
    """Writes batches over one connection of its own. Idempotent: the same batch again changes nothing but quarantine's counts."""

    def __init__(
        self, connection: asyncpg.Connection, *, quarantine_max_bytes: int, is_distributed: bool = False
    ) -> None:
        self._connection = connection
        self._is_distributed = is_distributed
        self._quarantine_max_bytes = quarantine_max_bytes
        self._presence = PresenceCache()
        self._cautious_batches = 0

    @classmethod
    async def open(cls, url: str, *, quarantine_max_bytes: int = DEFAULT_MAX_BYTES) -> "Writer":
        """Connects, checks the schema and creates the staging tables.

        Args:
            url: PostgreSQL URL.
            quarantine_max_bytes: what quarantine keeps of each reason, at most.

        Raises:
            DatabaseUnavailableError: the server cannot be reached or refuses.
            SchemaMismatchError: the schema is not this version's.
            PoolerError: a pooler is between.
        """
        connection = await connect(url, WRITER_SETTINGS)
        try:
            await require_settings(connection, WRITER_SETTINGS)
            await require_schema(connection)
            await connection.execute(query("stage"))
            distributed = await is_distributed(connection)
        except DATABASE_ERRORS as error:
            connection.terminate()
            raise unavailable(error) from error
        except BaseException:
            connection.terminate()
            raise
        return cls(connection, quarantine_max_bytes=quarantine_max_bytes, is_distributed=distributed)

    @property
    def is_closed(self) -> bool:
        """True once the connection is gone; open a new writer then."""
        return bool(self._connection.is_closed())

    def terminate(self) -> None:
        """Drops the connection at once, without a word to the server."""
        self._connection.terminate()

    async def write(self, messages: Sequence[Message], received_at: datetime, steps: Steps | None = None) -> Tally:
        """Commits `messages`, in one transaction, and returns how each was settled; `steps` is told what it is through with.

        The first content of a (device, timestamp) wins, within the batch too, in the order given.

        Raises:
            asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: nothing was committed, or the
                connection broke and it is not known; writing the same batch again is right in both cases. The
                cases are told apart by `joulegate_db.failures`.
        """
        steps = steps or Steps()
        if len(messages) >= OPTIMISTIC_FROM and not self._cautious_batches:
            try:
                return await self._write(messages, _Run(received_at, all_new=True, steps=steps))
            except asyncpg.UniqueViolationError:
                self._cautious_batches = CAUTIOUS_BATCHES
        self._cautious_batches = max(0, self._cautious_batches - 1)
        return await self._write(messages, _Run(received_at, all_new=False, steps=steps))

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Looks at the database that is written to, between two batches."""
        return list(await self._connection.fetch(statement, *arguments))

    async def replay(self, batch: Sequence[Replay], received_at: datetime) -> ReplayTally:
        """Commits the readings of `batch` and takes their rows out of quarantine, in one transaction. Conflicts stay as they are,
        and so do readings of archived days.

        A row that is not there any more, another one having taken it, is not written either.

        Raises:
            as `write`.
        """
        left, gone = list(batch), []
        while True:
            try:
                tally = await self._replay(left, received_at)
            except _GoneError as error:
                gone += [one.id for one in left if one.id not in error.there]
                left = [one for one in left if one.id in error.there]
            else:
                return msgspec.structs.replace(tally, gone=tuple(gone))

    async def _replay(self, batch: Sequence[Replay], received_at: datetime) -> ReplayTally:
        counts = StreamTally()
        run = _Run(received_at, all_new=False, steps=Steps())
        # in the order of `_write`, quarantine last: neither waits for a gateway in a circle
        async with self._connection.transaction():
            run.written = await self._connection.fetchval(query("roll_lock_shared"))
            archived_until = await self._connection.fetchval(
                query("archived_until")
            )  # under the lock: see `archive.seal`
            archived = [one.id for one in batch if _ts(one.message) < archived_until]
            batch = [one for one in batch if _ts(one.message) >= archived_until]
            messages = [one.message for one in batch]
            meters = [m for m in messages if type(m.content) is MeterReading]
            vehicles = [m for m in messages if type(m.content) is VehicleReading]
            refused = await self._append(METER_TABLES, meters, counts, run)
            refused += await self._append(VEHICLE_TABLES, vehicles, counts, run)
            marks = self._presence.unmarked(messages, without=refused)
            await self._presence.insert(self._connection, marks)
            staying = {(message.topic, message.payload) for message in refused}
            conflicts = [one.id for one in batch if (one.message.topic, one.message.payload) in staying]
            leaving = [one.id for one in batch if (one.message.topic, one.message.payload) not in staying]
            taken = {row["id"] for row in await self._connection.fetch(query("quarantine_take"), leaving)}
            if len(taken) < len(leaving):
                raise _GoneError(frozenset(taken.union(conflicts, archived)))
        self._presence.remember(marks)
        return ReplayTally(counts.committed, counts.duplicate, tuple(conflicts), tuple(archived))

    async def _write(self, messages: Sequence[Message], run: _Run) -> Tally:
        tally: Tally = {stream: StreamTally() for stream in Stream}
        refused = [m for m in messages if type(m.content) is Rejection]
        meters = [m for m in messages if type(m.content) is MeterReading]
        vehicles = [m for m in messages if type(m.content) is VehicleReading]
        # always in this order: two gateways never wait for each other in a circle
        async with self._connection.transaction():
            run.written = await self._connection.fetchval(query("roll_lock_shared"))
            run.steps.over("begin")
            refused += await self._append(METER_TABLES, meters, tally[Stream.METER], run)
            refused += await self._append(VEHICLE_TABLES, vehicles, tally[Stream.VEHICLE], run)
            marks = self._presence.unmarked(messages, without=refused)
            await self._presence.insert(self._connection, marks)
            run.steps.over("presence")
            overflow = await quarantine(
                self._connection, refused, run.received_at, max_bytes=self._quarantine_max_bytes
            )
            run.steps.over("quarantine")
        run.steps.over("commit")
        self._presence.remember(marks)
        for message in refused:
            tally[message.stream].quarantined += 1
        for (stream, reason), count in overflow.items():
            tally[stream].overflowed[reason] += count
        return tally

    async def _append(
        self, tables: StreamTables, messages: list[Message], tally: StreamTally, run: _Run
    ) -> list[Message]:
        """Appends one stream; returns the messages that conflict with what was accepted before them."""
        if not messages:
            return []
        await self._connection.copy_records_to_table(
            tables.stage, records=[astuple(message.content) for message in messages], columns=tables.columns
        )
        run.steps.over(f"copy_{tables.stream}")
        statement = tables.append_new if run.all_new else tables.append
        committed = await self._connection.fetchval(statement, run.received_at, run.written)
        run.steps.over(f"merge_{tables.stream}")
        tally.committed += committed
        if committed == len(messages):
            return []
        times = [_ts(message) for message in messages]
        statement = distributed_form(tables.conflicts) if self._is_distributed else tables.conflicts
        rows = await self._connection.fetch(statement, min(times), max(times))
        conflicts = [_as_conflict(messages[row["position"]]) for row in rows]
        tally.duplicate += len(messages) - committed - len(conflicts)
        return conflicts


def _ts(message: Message) -> datetime:
    """When a reading was measured; rejections are not asked."""
    assert not isinstance(message.content, Rejection)  # noqa: S101 - narrows the type for mypy
    return message.content.ts


def _as_conflict(message: Message) -> Message:
    return msgspec.structs.replace(message, content=CONFLICT)
