"""One scenario's stand: a broker, a database and gateways of its own, with proxies between, and a fleet that publishes."""

import asyncio
import contextlib
import random
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg

from chaos.fleet import Fleet
from chaos.plan import Plan
from chaos.process import POLL_SECONDS, GatewayProcess
from chaos.proxy import Proxy
from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.ports import free_port
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_db.partitions import ensure_partitions

POSTGRES_OPTIONS = {"max_connections": "50", "max_wal_size": "2GB", "recovery_init_sync_method": "syncfs"}
"""fsync stays on: what was committed must be there after a crash."""

RATE = 1000
"""Readings a second: three times the fleet of the design, and light enough for two scenarios at a time on two cores."""

DEVICES = 200
"""Few, so that two gateways often write the same device at the same time."""

WINDOW = 2000
"""Unacknowledged readings of a publisher's connection."""

REST_SECONDS = 120.0
"""How long the last readings may take to arrive after the last fault."""

QUIET_POLLS = 10
"""A second in which nothing moves."""

FOUND = (
    "select (select count(*) from meter_history) + (select count(*) from vehicle_history)"
    " + (select count(*) from quarantine)"
)


class Stand:
    """What a scenario works with. `faults` counts what was injected, by name; `recoveries` are seconds to the next commit;
    `broken` promises stand beside what the verdict finds."""

    def __init__(
        self, directory: Path, postgres: LocalPostgres, broker: LocalBroker, fleet: Fleet, rng: random.Random
    ) -> None:
        self.directory = directory
        self.postgres = postgres
        self.broker = broker
        self.fleet = fleet
        self.random = rng
        self.broker_proxy = Proxy(broker.port)
        self.database_proxy = Proxy(int(postgres.tcp_url().rsplit(":", 1)[1].split("/")[0]))
        self.faults: Counter[str] = Counter()
        self.recoveries: list[float] = []
        self.gateways: list[GatewayProcess] = []
        self.notes: list[str] = []
        self.broken: list[str] = []

    def expect(self, condition: object, otherwise: str) -> None:
        """Books `otherwise` as a broken promise unless the condition holds; the scenario goes on."""
        if not condition:
            self.broken.append(otherwise)

    def gateway(self, **settings: object) -> GatewayProcess:
        """A gateway that reaches broker and database through the proxies; not started yet."""
        environ = {
            "JOULEGATE_MQTT_URL": f"mqtt://127.0.0.1:{self.broker_proxy.port}",
            "JOULEGATE_DATABASE_URL": self.postgres.tcp_url(port=self.database_proxy.port),
        }
        process = GatewayProcess(self.directory, environ, **settings)
        self.gateways.append(process)
        return process

    async def subscribed(self, **settings: object) -> GatewayProcess:
        """A gateway that is ready; from now on the fleet publishes: before a subscription the broker keeps nothing."""
        gateway = await self.gateway(**settings).start()
        self.fleet.paused = False
        return gateway

    async def load(self, low: float, high: float | None = None) -> None:
        """Lets the load run for some seconds; between `low` and `high` by chance."""
        await asyncio.sleep(low if high is None else self.random.uniform(low, high))

    async def recovered(self, gateway: GatewayProcess, *, since: float | None = None) -> None:
        """Waits for the next commit of `gateway` and books how long it took; `since`: when the fault struck, monotonic."""
        started = time.monotonic() if since is None else since
        before = await gateway.counters()
        floor = before.settled if before is not None else 0
        await gateway.until(floor + 1, REST_SECONDS)
        self.recoveries.append(time.monotonic() - started)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection that goes past the proxy."""
        connection = await asyncpg.connect(self.postgres.tcp_url())
        try:
            yield connection
        finally:
            connection.terminate()

    async def rest(self, *, may_lose: bool) -> None:
        """Ends the load and waits until all that the broker acknowledged is there and nothing moves any more.

        Args:
            may_lose: not all of it can be there: silence is enough.
        """
        self.fleet.paused = True
        await asyncio.sleep(POLL_SECONDS * 5)
        with contextlib.suppress(TimeoutError):
            await self.fleet.drain()
        deadline = time.monotonic() + REST_SECONDS
        quiet, last = 0, -1
        async with self.database() as db:
            while quiet < QUIET_POLLS and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
                counters = [c for g in self.gateways if g.pid is not None and (c := await g.counters()) is not None]
                moved = sum(c.received for c in counters)
                is_quiet = moved == last and not any(c.pending for c in counters)
                is_complete = may_lose or await db.fetchval(FOUND) >= len(self.fleet.acknowledged)
                quiet, last = (quiet + 1 if is_quiet and is_complete else 0), moved

    async def close(self) -> None:
        """Ends every gateway that still runs."""
        for gateway in self.gateways:
            if gateway.pid is not None:
                await gateway.kill()


@asynccontextmanager
async def open_stand(
    directory: Path,
    template: Path,
    rng: random.Random,
    *,
    rate: int = RATE,
    broker_conf: str = "",
    window: int = WINDOW,
    disk_megabytes: int = 0,
    devices: int = DEVICES,
) -> AsyncIterator[Stand]:
    """Starts a broker and a database (a copy of `template`) in `directory`, and the fleet; ends all of it.

    Args:
        disk_megabytes: puts the database on a file system of this size, which takes the right to mount one.
    """
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    broker = LocalBroker(directory / "broker", kind="mosquitto", extra=broker_conf)
    async with AsyncExitStack() as stack:
        data = directory / "postgres"
        data.mkdir()
        if disk_megabytes:
            _run("mount", "-t", "tmpfs", "-o", f"size={disk_megabytes}m", "joulegate-chaos", str(data))
            stack.callback(_run, "umount", str(data))
        _run("cp", "-aT", str(template), str(data))
        postgres = LocalPostgres(data, port=free_port(), options=POSTGRES_OPTIONS)
        stack.callback(postgres.stop, "immediate")
        stack.callback(broker.stop)
        await asyncio.to_thread(postgres.start)
        await asyncio.to_thread(broker.start)
        stand = Stand(directory, postgres, broker, Fleet(Plan.from_now(devices), rate), rng)
        await stack.enter_async_context(stand.broker_proxy)
        await stack.enter_async_context(stand.database_proxy)
        stack.push_async_callback(stand.close)
        await stack.enter_async_context(stand.fleet.connected(broker.url, window=window))
        yield stand


@asynccontextmanager
async def under_load(stand: Stand, *, may_lose: bool = False) -> AsyncIterator[None]:
    """From the first subscription on the fleet publishes during the block; at its end everything comes to rest."""
    publishing = asyncio.create_task(stand.fleet.run(), name="fleet")
    try:
        yield
    finally:
        if publishing.done():
            publishing.result()
        stand.fleet.paused = True
        publishing_ended = asyncio.gather(publishing, return_exceptions=True)
        publishing.cancel()
        await publishing_ended
    await stand.rest(may_lose=may_lose)


def _run(*command: str) -> None:
    """Runs a system command.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()}")


def make_template(directory: Path) -> Path:
    """A data directory with the current schema and partitions, to be copied for each scenario."""
    server = LocalPostgres(directory, options=POSTGRES_OPTIONS).start()
    try:
        asyncio.run(_prepare(server.url()))
    finally:
        server.stop()
    return directory


async def _prepare(url: str) -> None:
    connection = await connect(url, MIGRATION_SETTINGS)
    await migrate(connection)
    await ensure_partitions(connection, utc_now(), max_age_days=7)
    await connection.close()
