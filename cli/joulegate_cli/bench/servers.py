"""The broker and the database of a bench run, private and set as a two-core production machine would be."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from joulegate_cli.local.broker import LocalBroker
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_db.partitions import ensure_partitions

POSTGRES_OPTIONS = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "max_connections": "50",
}
"""Durability is left alone: fsync and synchronous_commit are on."""

COUNT_STATEMENTS = {"shared_preload_libraries": "pg_stat_statements"}
"""A further option for benches that count the pages which statements touch."""


class Servers(msgspec.Struct, frozen=True):
    """What a bench run talks to. `directory` is removed at its end."""

    directory: Path
    postgres: LocalPostgres
    broker: LocalBroker

    def environ(self, database: str = "postgres") -> dict[str, str]:
        """Settings for services of the run."""
        return {
            "JOULEGATE_DATABASE_URL": self.postgres.url(database),
            "JOULEGATE_MQTT_URL": self.broker.url,
            **self.broker.gateway_settings,
        }

    def database_cpu_seconds(self) -> float:
        """User and system time of all of the database's processes so far, those that ended included."""
        server = psutil.Process(self.postgres.pid)
        while True:
            ended = server.cpu_times()
            total = float(ended.user + ended.system + ended.children_user + ended.children_system)
            for process in server.children():  # takes long enough for one to end meanwhile
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    total += times.user + times.system
            now = server.cpu_times()
            if (now.children_user, now.children_system) == (ended.children_user, ended.children_system):
                return total

    def create_database(self, name: str) -> str:
        """Another database with the current schema and no partitions. Returns its URL."""
        asyncio.run(self._create_database(name))
        return self.postgres.url(name)

    async def _create_database(self, name: str) -> None:
        connection = await connect(self.postgres.url(), MIGRATION_SETTINGS)
        await connection.execute(f'create database "{name}" template template0')
        await connection.close()
        await _migrate(self.postgres.url(name))


@contextlib.contextmanager
def bench_servers(options: dict[str, str] | None = None) -> Iterator[Servers]:
    """Starts both, with the current schema and partitions in the first database, and stops them at the end."""
    with tempfile.TemporaryDirectory(prefix="joulegate-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        postgres = LocalPostgres(directory / "postgres", options=POSTGRES_OPTIONS | (options or {}))
        broker = LocalBroker(directory / "broker", persistence=False)
        try:
            postgres.start()
            broker.start()
            asyncio.run(_prepare(postgres.url()))
            yield Servers(directory, postgres, broker)
        finally:
            broker.stop()
            postgres.stop("immediate")


async def _prepare(url: str) -> None:
    await _migrate(url)
    connection = await connect(url, MIGRATION_SETTINGS)
    await ensure_partitions(connection, utc_now(), max_age_days=7)
    await connection.close()


async def _migrate(url: str) -> None:
    connection = await connect(url, MIGRATION_SETTINGS)
    await migrate(connection)
    await connection.close()
