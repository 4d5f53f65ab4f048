"""Two gateways of one share group are replaced one after the other, under load and over a change of the schema."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fault_harness import Numbered, require_mosquitto, streaming
from gateway_harness import Gateway, eventually
from http_support import meter, vehicle, window, write
from joulegate_cli.local.broker import LocalBroker
from joulegate_core.errors import SchemaMismatchError
from joulegate_db import migrate as migrate_module
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import Migration, migrate, shipped_migrations
from joulegate_db.reader import open_reader
from process_harness import Launch, Process, launching, until_status

EXPANDED = (
    *shipped_migrations(),
    Migration(9999, "expand", "alter table meter_history add column phase text; create index on devices (kind)", "c"),
)
"""The next version's schema: more, and nothing that this version's statements miss."""

SHARED: dict[str, Any] = {"share_group": "rolling", "batch_max": 20, "receive_maximum": 50}


class Pair:
    """Two gateways: each a process of this version, or one of the next version in this process."""

    def __init__(self, gateways: list[Gateway], launches: list[Launch]) -> None:
        self.gateways = gateways
        self._launches = launches
        self.processes: list[Process] = []

    async def start(self) -> None:
        """Starts both processes and waits until they are ready."""
        self.processes = [await launch(**SHARED) for launch in self._launches]
        for gateway, process in zip(self.gateways, self.processes, strict=True):
            await until_status(gateway, "/readyz", process)

    async def restart(self, number: int) -> None:
        """Stops one as systemd does, and starts the same version again."""
        await self.stop(number)
        self.processes[number] = await self._launches[number](**SHARED)
        await until_status(self.gateways[number], "/readyz", self.processes[number])

    async def stop(self, number: int) -> None:
        """SIGTERM, and the process drains."""
        self.processes[number].send(signal.SIGTERM)
        assert await self.processes[number].end() == (0, "")


@pytest.fixture
async def pair(broker: LocalBroker, database_url: str, tmp_path: Path) -> AsyncIterator[Pair]:
    require_mosquitto(broker)
    gateways = [Gateway(broker, database_url) for _ in range(2)]
    async with AsyncExitStack() as stack:
        launches = []
        for number, gateway in enumerate(gateways):
            stack.push_async_callback(gateway.close)
            (tmp_path / str(number)).mkdir()
            launches.append(await stack.enter_async_context(launching(gateway, tmp_path / str(number))))
        yield Pair(gateways, launches)


async def until_more(db: asyncpg.Connection, count: int = 50) -> None:
    """Waits until so many more readings are stored: whoever runs goes on."""
    before = await db.fetchval("select count(*) from meter_history")

    async def more() -> bool:
        return bool(await db.fetchval("select count(*) from meter_history") >= before + count)

    await eventually(more)


async def expand(url: str) -> None:
    """What `joulegate migrate` of the next version does."""
    connection = await connect(url, MIGRATION_SETTINGS)
    assert [migration.version for migration in await migrate(connection)] == [9999]
    await connection.close()


async def test_one_after_the_other_loses_and_doubles_nothing(
    pair: Pair, database_url: str, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbered = Numbered()
    await pair.start()
    async with streaming(pair.gateways[0].broker, numbered):
        await until_more(db)
        await pair.restart(0)
        await pair.restart(1)
        monkeypatch.setattr(migrate_module, "shipped_migrations", lambda: EXPANDED)
        await expand(database_url)
        await until_more(db)  # both of the old version go on
        for number, gateway in enumerate(pair.gateways):
            await pair.stop(number)
            await until_more(db)  # the other one works
            await gateway.start(**SHARED)
            await until_more(db)
    await numbered.until_all_there(db)
    for gateway in pair.gateways:
        await gateway.settle(0)
    await numbered.assert_each_once(db)


async def test_a_running_gateway_goes_on_over_a_new_schema_until_it_connects_anew(
    pair: Pair, database_url: str, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbered = Numbered()
    await pair.start()
    await pair.stop(1)
    gateway, old = pair.gateways[0], pair.processes[0]
    monkeypatch.setattr(migrate_module, "shipped_migrations", lambda: EXPANDED)
    async with streaming(gateway.broker, numbered):
        await until_more(db)
        await expand(database_url)
        await until_more(db)
        await db.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'joulegate-gateway'"
        )
        code, _ = await old.end()
        assert code == 1
        old.assert_one_line("at version 9999, newer than this joulegate knows: upgrade joulegate")
        await asyncio.sleep(0.3)  # readings wait at the broker meanwhile
        for each in pair.gateways:
            await each.start(**SHARED)
    await numbered.until_all_there(db)
    await numbered.assert_each_once(db)


async def test_a_running_sidecar_goes_on_answering_and_says_that_it_is_not_ready(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(database_url, [meter(1, 1.0), vehicle(1, 0.9)])
    async with open_reader(database_url) as reader:
        await reader.check()
        assert await reader.performance("v-1", window(0, 15)) is not None
        with monkeypatch.context() as newer:
            newer.setattr(migrate_module, "shipped_migrations", lambda: EXPANDED)
            await expand(database_url)
        answer = await reader.performance("v-1", window(0, 15))
        assert answer is not None
        assert answer.efficiency_ratio == pytest.approx(0.9)
        with pytest.raises(SchemaMismatchError, match="upgrade joulegate"):  # /readyz: 503
            await reader.check()
