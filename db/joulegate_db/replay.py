"""Quarantined messages tried again, by today's rules: what is accepted now goes to history as it would have from the broker.

One transaction writes the readings and takes their rows out, so that a crash leaves a message where it was or where it belongs. Of two
who try the same message the later one finds its reading a duplicate and its row gone, and writes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Literal

import asyncpg
import msgspec

from joulegate_core.clock import Clock
from joulegate_core.reasons import Reason
from joulegate_core.telemetry import Message, Rejection, Stream
from joulegate_db.bindings import Binding, places_of
from joulegate_db.connect import MIGRATION_SETTINGS, connect, unavailable
from joulegate_db.failures import DATABASE_ERRORS, describe, is_permanent
from joulegate_db.partitions import ensure_partitions
from joulegate_db.sql import query
from joulegate_db.writer import CONFLICT, Replay, Writer

Decode = Callable[[str, bytes, datetime], Message]
"""The gateway's decoder: topic, payload and the time to judge by. It belongs to the gateway; who builds the parts hands it down."""

Bind = Callable[[dict[Stream, dict[str, str]]], None]
"""The decoder's, too: charge points by stream and device."""

BATCH = 1000

ARCHIVED = "its day of history is archived: bring it back first (joulegate archive restore), then replay"

Outcome = Literal["committed", "duplicate", "quarantined"]


class Results(msgspec.Struct):
    """How many messages were settled how. `quarantined`: those that stay, by reason and detail."""

    committed: int = 0
    duplicate: int = 0
    quarantined: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)


class Replayed(msgspec.Struct, frozen=True):
    """What became of a message. `reason` and `detail`: why it stays in quarantine; None when it has left."""

    outcome: Outcome
    reason: str | None = None
    detail: str | None = None


class Replayer:
    """Tries messages again, over a writer of its own that is opened when it is needed, and again after a failure.

    Args:
        url: PostgreSQL URL; as for gateways, not through a pooler in transaction mode.
        bind: tells the decoder which devices are bound to a charge point.
        max_age_days: of the decoder's clock window: so many days need partitions.
    """

    def __init__(self, url: str, decode: Decode, bind: Bind, *, max_age_days: int, clock: Clock) -> None:
        self._url = url
        self._decode = decode
        self._bind = bind
        self._bindings_version: int | None = None
        self._max_age_days = max_age_days
        self._clock = clock
        self._writer: Writer | None = None
        self._turn = asyncio.Lock()  # one connection: one at a time

    async def count(self, reason: str | None) -> tuple[int, int]:
        """How many rows there are, and the newest's id.

        Raises:
            DatabaseUnavailableError, SchemaMismatchError.
        """
        row = (await self._fetch("quarantine_last", reason))[0]
        return row["rows"], row["last"]

    async def one(self, number: int) -> Replayed | None:
        """Tries the row with this id; None when there is none.

        Raises:
            DatabaseUnavailableError, SchemaMismatchError.
        """
        async with self._turn:
            results = await self._try(await self._fetch("quarantine_batch", None, number - 1, number, 1))
        staying = list(results.quarantined.elements())
        if staying:
            return Replayed("quarantined", *staying[0])
        if results.committed or results.duplicate:
            return Replayed("committed" if results.committed else "duplicate")
        return None

    async def many(self, reason: str | None, last: int) -> AsyncIterator[Results]:
        """Tries all rows up to the id `last`, in batches, oldest first. Rows that others take meanwhile are not counted.

        Raises:
            DatabaseUnavailableError, SchemaMismatchError: what was given before is done; the rest can be tried again.
        """
        after = 0
        while rows := await self._fetch("quarantine_batch", reason, after, last, BATCH):
            after = rows[-1]["id"]
            yield await self._try(rows)

    def close(self) -> None:
        """Gives the connection up."""
        if self._writer is not None:
            self._writer.terminate()
            self._writer = None

    async def _fetch(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        try:
            return await (await self._opened()).fetch(query(name), *arguments)
        except DATABASE_ERRORS as error:
            self.close()
            raise unavailable(error) from error

    async def _opened(self) -> Writer:
        """The writer. Before the first, the partitions of the whole clock window are seen to, but for archived days."""
        if self._writer is None or self._writer.is_closed:
            connection = await connect(self._url, MIGRATION_SETTINGS)
            writer = await Writer.open(self._url)
            try:
                archived_until = await connection.fetchval(query("archived_until"))
                await ensure_partitions(
                    connection, self._clock(), max_age_days=self._max_age_days, not_before=archived_until
                )
            except BaseException:
                writer.terminate()
                raise
            finally:
                connection.terminate()
            self._writer = writer
        return self._writer

    async def _look_at_bindings(self) -> None:
        """Today's bindings are among today's rules."""
        version = (await self._fetch("binding_version"))[0]["version"]
        if version != self._bindings_version:
            rows = await self._fetch("binding_list", None)
            self._bind(places_of(msgspec.convert(dict(row), Binding) for row in rows))
            self._bindings_version = version

    async def _try(self, rows: Sequence[asyncpg.Record]) -> Results:
        await self._look_at_bindings()
        now = self._clock()
        results = Results()
        accepted: list[Replay] = []
        for row in rows:
            message = self._decode(row["topic"], row["payload"], now)
            if isinstance(message.content, Rejection):
                results.quarantined[message.content.reason, message.content.detail] += 1
            else:
                accepted.append(Replay(row["id"], message))
        if accepted:
            # when they came: they tell nothing of the device since
            await self._write(accepted, max(row["last_seen"] for row in rows), results)
        return results

    async def _write(self, batch: Sequence[Replay], received_at: datetime, results: Results) -> None:
        """Writes `batch`; a row that the database refuses is isolated by halving, as in the gateway."""
        try:
            tally = await (await self._opened()).replay(batch, received_at)
        except DATABASE_ERRORS as error:
            if not is_permanent(error):
                self.close()
                raise unavailable(error) from error
            if len(batch) > 1:
                half = len(batch) // 2
                await self._write(batch[:half], received_at, results)
                await self._write(batch[half:], received_at, results)
            else:
                results.quarantined[Reason.DATABASE_REFUSED, describe(error)] += 1
            return
        except BaseException:
            self.close()  # cancelled in the middle: the transaction's end is not waited for
            raise
        results.committed += tally.committed
        results.duplicate += tally.duplicate
        results.quarantined[CONFLICT.reason, CONFLICT.detail] += len(tally.conflicts)
        results.quarantined[Reason.TOO_OLD, ARCHIVED] += len(tally.archived)
