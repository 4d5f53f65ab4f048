"""One rival on a broker and a database: started, killed, its rows counted."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import msgspec

from joulegate_cli.bench.child import Service
from joulegate_cli.bench.servers import Servers
from joulegate_cli.local.ports import free_port, is_listening
from joulegate_core.broker import parse_broker_url
from joulegate_core.errors import JoulegateError
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from rivals.catalogue import PLAIN_TABLES, Rival, command, environ

TABLES = (Path(__file__).parent / "tables.sql").read_text()
START_SECONDS = 30.0
ANSWER_SECONDS = 1.0
"""A broker sends what it holds at once."""


class Kept(msgspec.Struct, frozen=True):
    """What the database holds: rows, and different readings among them."""

    rows: int
    readings: int


class Stand:
    """A rival that can be started again and again, on a database of its own."""

    def __init__(self, rival: Rival, servers: Servers, name: str, runner: asyncio.Runner) -> None:
        self.rival = rival
        self.servers = servers
        self.client_id = f"rival-{name}"
        self.port = free_port()
        self._home = servers.directory / name
        self._home.mkdir()
        self._environ = environ(rival, servers, name, self.client_id, self.port, self._home)
        self._runner = runner
        url = servers.create_database(name)
        self._connection = runner.run(connect(url, MIGRATION_SETTINGS))
        if rival.tables == PLAIN_TABLES:
            runner.run(self._connection.execute(TABLES))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Service:
        """Starts it, and waits for it to listen where messages are posted to it.

        Raises:
            JoulegateError: it ended, or does not listen in time.
        """
        log = self._home / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command(self.rival),
                env=self._environ,
                cwd=self._home,
                # the PostgreSQL node prints a line a message
                stdout=subprocess.DEVNULL,
                stderr=output,
            )
        deadline = time.monotonic() + START_SECONDS
        while self.rival.takes_http and not is_listening(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise JoulegateError(f"{self.rival.name} does not listen: {log.read_text()[-600:]}")
            time.sleep(0.02)
        return Service(self._process, self.port, log)

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def rows(self) -> int:
        """How many rows it has stored."""
        statements = [f"select count(*) from {table}" for table in self.rival.tables]
        return sum(self._runner.run(self._connection.fetchval(statement)) for statement in statements)

    def kept(self) -> Kept:
        """What it has stored, counted both ways."""
        statements = [f"select count(*), count(distinct (device, ts)) from {table}" for table in self.rival.tables]
        counts = [self._runner.run(self._connection.fetchrow(statement)) for statement in statements]
        return Kept(sum(row[0] for row in counts), sum(row[1] for row in counts))

    def waiting(self) -> int:
        """How many messages the broker still holds for it; they are taken away. Nothing is held where messages are posted."""
        return 0 if self.rival.takes_http else self._runner.run(_take_all(self.servers.broker.url, self.client_id))

    def close(self) -> None:
        """Stops it, and lets the broker keep nothing more for it."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._runner.run(self._connection.close())
        if not self.rival.takes_http:
            self._runner.run(_end_session(self.servers.broker.url, self.client_id))


@contextlib.contextmanager
def stand(rival: Rival, servers: Servers, name: str) -> Iterator[Stand]:
    """A stand of this name; its database and its files stay until the servers are gone."""
    with asyncio.Runner() as runner:
        made = Stand(rival, servers, name, runner)
        try:
            yield made
        finally:
            made.close()


async def _take_all(url: str, client_id: str) -> int:
    address = parse_broker_url(url)
    taken = 0
    client = aiomqtt.Client(
        hostname=address.host,
        port=address.port,
        identifier=client_id,
        session_expiry_interval=86_400,
        receive_max=20_000,
    )
    async with client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                async for packet in client.messages():
                    taken += isinstance(packet, aiomqtt.PublishPacket)
    return taken


async def _end_session(url: str, client_id: str) -> None:
    address = parse_broker_url(url)
    async with aiomqtt.Client(
        hostname=address.host, port=address.port, identifier=client_id, clean_start=True, session_expiry_interval=0
    ):
        pass
