"""Which devices are bound to a charge point, as the decoder is told: read at the start, and again soon after a binding has changed."""

import asyncio

import structlog

from joulegate_core.errors import DatabaseUnavailableError
from joulegate_db.bindings import bindings_version, list_bindings, places_of
from joulegate_db.connect import MIGRATION_SETTINGS
from joulegate_db.own_connection import OwnConnection
from joulegate_gateway.decoder import Decoder

log = structlog.get_logger()

SETTINGS = MIGRATION_SETTINGS | {"application_name": "joulegate-bindings", "statement_timeout": "30s"}

ROUND_SECONDS = 5.0
"""A changed binding holds at most this much later."""
ANSWER_SECONDS = 40.0


class BindingsWatch:
    """Keeps a decoder's bindings as they are in the database, over a connection of its own.

    Args:
        url: PostgreSQL URL.
    """

    def __init__(self, url: str, decoder: Decoder) -> None:
        self._database = OwnConnection(url, SETTINGS, seconds=ANSWER_SECONDS)
        self._decoder = decoder
        self._version: int | None = None

    async def look(self) -> None:
        """Reads the bindings, if they have changed.

        Raises:
            DatabaseUnavailableError: the database cannot be reached, does not answer, or refuses.
        """
        async with self._database.use() as connection:
            version = await bindings_version(connection)
            if version == self._version:
                return
            # read after the version: what changes in between is read again at the next round
            bindings = await list_bindings(connection)
        self._decoder.bind(places_of(bindings))
        if bindings or self._version is not None:
            log.info("bindings_read", count=len(bindings))
        self._version = version

    async def run(self) -> None:
        """Looks for ever. Without the database the bindings stay as they were read, which is told once."""
        told = False
        try:
            while True:
                await asyncio.sleep(ROUND_SECONDS)
                try:
                    await self.look()
                    told = False
                except DatabaseUnavailableError as error:
                    if not told:
                        log.warning("bindings_not_read", error=str(error))
                    told = True
        finally:
            self.close()

    def close(self) -> None:
        """Gives the connection up, without a word."""
        self._database.close()
