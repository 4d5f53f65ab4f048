"""The bell that gateways ring when live tables have changed, as one hears it: LISTEN on one connection of its own.

It only saves looking in vain. Who hears nothing (a pooler in transaction mode has no LISTEN, a replica no NOTIFY) looks now and then.
"""

import asyncio
from typing import Any

import structlog

from joulegate_core.errors import DatabaseUnavailableError
from joulegate_db.connect import connect, unavailable
from joulegate_db.failures import DATABASE_ERRORS, describe

log = structlog.get_logger()

CHANNEL = "joulegate_live"
LISTENER_SETTINGS = {"application_name": "joulegate-listen"}
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 15.0


class Doorbell:
    """`rung` is set by a ring, and when the connection begins or ends: something may have been missed then, or has happened.

    Args:
        url: PostgreSQL URL of the database that gateways write to; directly, not through a pooler in transaction mode.
    """

    def __init__(self, url: str) -> None:
        self.rung = asyncio.Event()
        self._url = url

    async def run(self) -> None:
        """Listens for ever; connects again when the connection is lost."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._listen()
                pause = FIRST_PAUSE_SECONDS
            except (*DATABASE_ERRORS, DatabaseUnavailableError) as error:
                log.warning("bell_not_heard", error=describe(error))
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _listen(self) -> None:
        """Returns when the connection has ended."""
        connection = await connect(self._url, LISTENER_SETTINGS)
        ended = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: ended.set())
            try:
                await connection.add_listener(CHANNEL, self._ring)
            except DATABASE_ERRORS as error:
                raise unavailable(error) from error
            self.rung.set()
            await ended.wait()
        finally:
            connection.terminate()
            self.rung.set()

    def _ring(self, *_: Any) -> None:
        self.rung.set()
