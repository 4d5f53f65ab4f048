"""Gateways' beats: what each says of itself, every few seconds, and the bell that it rings when there is something new to see."""

import hashlib
from datetime import datetime

import msgspec

from joulegate_db.own_connection import OwnConnection
from joulegate_db.reader import Reader
from joulegate_db.sql import query

ALIVE_SECONDS = 15.0
"""Three beats: a gateway that has missed them is not there, or cannot reach the database."""

ANSWER_SECONDS = 4.0
"""A beat that takes longer is missed; the next is due."""

BEAT_SETTINGS = {
    "application_name": "joulegate-beat",
    "synchronous_commit": "off",  # the next beat says it again
    "lock_timeout": "3s",
    "statement_timeout": "3s",
}


class Beat(msgspec.Struct, frozen=True):
    """What a gateway says of itself. Counts are messages since `started_at`."""

    host: str
    version: str
    started_at: datetime
    received: int
    committed: int
    duplicate: int
    quarantined: int
    pending: int
    rate_per_second: float
    lag_seconds: float


class GatewayState(Beat, frozen=True):
    """A gateway's last beat. `gateway`: a stable name that does not tell the client id."""

    gateway: str
    beat_at: datetime
    alive: bool


class BeatRecord:
    """One gateway's row, over one connection that is opened when it is needed, and again after a failure.

    Every method raises DatabaseUnavailableError when the database cannot be reached, does not answer, or refuses.

    Args:
        url: PostgreSQL URL.
        client_id: MQTT client id; only its digest is stored.
    """

    def __init__(self, url: str, client_id: str) -> None:
        self._database = OwnConnection(url, BEAT_SETTINGS, seconds=ANSWER_SECONDS)
        self._client = hashlib.sha256(client_id.encode()).digest()

    async def beat(self, beat: Beat) -> None:
        """Writes what the gateway says."""
        await self._execute(query("gateway_beat"), self._client, *msgspec.structs.astuple(beat))

    async def ring(self) -> None:
        """Says to all who listen that live tables have changed."""
        await self._execute(query("live_notify"))

    async def forget(self) -> None:
        """Takes the row away: the gateway has left for good."""
        await self._execute(query("gateway_forget"), self._client)

    def close(self) -> None:
        """Gives the connection up, without a word."""
        self._database.close()

    async def _execute(self, statement: str, *arguments: object) -> None:
        async with self._database.use() as connection:
            await connection.execute(statement, *arguments)


async def gateways(reader: Reader) -> list[GatewayState]:
    """All gateways that have ever beaten and not left, by name.

    Raises:
        what every method of the reader raises.
    """
    async with reader.snapshot() as connection:
        rows = await connection.fetch(query("gateway_list"), ALIVE_SECONDS)
    return [GatewayState(**row) for row in rows]
