"""Taking a gateway away for good: everything that its session holds is settled before the session ends.

What waits in a session goes to nobody else when the session ends (mosquitto 2.0.11, measured: of 20 messages for a group of two,
the 10 of the member that had gone were lost with its session). Hence `joulegate gateway --leave`: unsubscribe, drain, end the session.
"""

import asyncio
import contextlib
import time

import aiomqtt
import structlog

from joulegate_core.errors import JoulegateError
from joulegate_gateway.connection import Connection
from joulegate_gateway.ledger import Ledger

log = structlog.get_logger()

QUIET_ROUNDS = 3
"""mosquitto sends what it has queued on each PUBACK, before it answers the next PINGREQ; others may take a little longer."""

ROUND_SECONDS = 0.2
PROGRESS_SECONDS = 5.0


class NotLeftError(JoulegateError):
    """A gateway was stopped before its session was drained."""


class Departure:
    """Drains an unsubscribed session, over as many connections as it takes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._told = time.monotonic()

    async def drain(self, connection: Connection) -> None:
        """Returns when the broker has nothing more and everything is acknowledged, or when the connection has ended."""
        quiet = 0
        with contextlib.suppress(aiomqtt.ConnectError):
            while quiet < QUIET_ROUNDS:
                await asyncio.sleep(ROUND_SECONDS)
                self._tell()
                quiet = quiet + 1 if await self._is_quiet(connection) else 0

    async def _is_quiet(self, connection: Connection) -> bool:
        """Whether all was acknowledged, and the broker sent nothing more before it answered a PINGREQ."""
        if self._ledger.pending:
            return False
        received = self._ledger.received.total()
        await connection.ping()
        return self._ledger.received.total() == received

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told >= PROGRESS_SECONDS:
            self._told = now
            log.info("leaving", drained=self._ledger.settled.total(), pending=self._ledger.pending)
