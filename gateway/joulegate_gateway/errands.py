"""What a gateway does at the broker, connection by connection: it subscribes and stays, or it leaves for good.

What waits in a session goes to nobody else when the session ends (mosquitto 2.0.11, measured: of 20 messages for a group of two,
the 10 of the member that had gone were lost with its session). Hence `joulegate gateway --leave`: unsubscribe, drain, end the session.
"""

import asyncio
import contextlib
import time
from typing import Protocol

import aiomqtt
import structlog
from prometheus_client import Counter

from joulegate_core.errors import JoulegateError
from joulegate_core.settings import Settings
from joulegate_gateway.broker_watch import BrokerWatch
from joulegate_gateway.connection import Connection
from joulegate_gateway.forms import Forms
from joulegate_gateway.ledger import Ledger

log = structlog.get_logger()

QUIET_ROUNDS = 3
"""mosquitto sends what it has queued on each PUBACK, before it answers the next PINGREQ; others may take a little longer."""

ROUND_SECONDS = 0.2
PROGRESS_SECONDS = 5.0


class NotLeftError(JoulegateError):
    """A gateway was stopped before its session was drained."""


class Errand(Protocol):
    """What is done on each connection.

    Attributes:
        stays: whether the gateway is subscribed once it has begun.
        twin_advice: what to do about another client that takes the session.
    """

    stays: bool
    twin_advice: str

    async def prepare(self) -> None:
        """Comes before the connection. Raises DatabaseUnavailableError."""

    async def begin(self, connection: Connection) -> None:
        """Returns when the broker has answered every request. Raises BrokerUnavailableError, aiomqtt.ConnectError."""

    async def finish(self, connection: Connection) -> None:
        """Returns when nothing is left to do and the session is to end, or when the connection has ended."""


class Staying:
    """Subscribes, and has never done."""

    stays = True
    twin_advice = "give each gateway a JOULEGATE_CLIENT_ID of its own"

    def __init__(self, settings: Settings, watch: BrokerWatch, sessions_lost: Counter) -> None:
        self._forms = Forms(settings)
        self._watch = watch
        self._sessions_lost = sessions_lost
        # with `new-session` it is the built-in broker, which closes the connection of who asks for a $ topic
        self._has_counts = settings.subscribe == "always"

    async def prepare(self) -> None:
        """Notes what is going to be subscribed."""
        await self._forms.prepare(joining=True)

    async def begin(self, connection: Connection) -> None:
        """Joins the streams."""
        await self._forms.join(connection, self._sessions_lost)
        if self._has_counts:
            await self._watch.follow(connection)

    async def finish(self, connection: Connection) -> None:  # noqa: ARG002 - it lasts longer than any connection
        """Never returns."""
        await asyncio.Future()


class Leaving:
    """Unsubscribes, and drains what the session holds, over as many connections as it takes."""

    stays = False
    twin_advice = "stop it, then run `joulegate gateway --leave` again"

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._forms = Forms(settings)
        self._ledger = ledger
        self._told = time.monotonic()

    async def prepare(self) -> None:
        """Looks up what may be subscribed."""
        await self._forms.prepare(joining=False)

    async def begin(self, connection: Connection) -> None:
        """Leaves the streams. Raises UnsubscribeError when the broker does not let it."""
        if not connection.session_present:
            log.info("no_session_to_leave")
        await self._forms.leave(connection)

    async def finish(self, connection: Connection) -> None:
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
