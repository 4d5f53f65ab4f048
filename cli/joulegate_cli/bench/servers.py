"""The broker and the database of a bench run, private and set as a two-core production machine would be."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

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


class Servers(msgspec.Struct, frozen=True):
    """What a bench run talks to. `directory` is removed at its end."""

    directory: Path
    postgres: LocalPostgres
    broker: LocalBroker

    @property
    def environ(self) -> dict[str, str]:
        """Settings for services of the run."""
        return {
            "JOULEGATE_DATABASE_URL": self.postgres.url(),
            "JOULEGATE_MQTT_URL": self.broker.url,
            **self.broker.gateway_settings,
        }


@contextmanager
def bench_servers() -> Iterator[Servers]:
    """Starts both, with the current schema and partitions, and stops them at the end."""
    with tempfile.TemporaryDirectory(prefix="joulegate-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        postgres = LocalPostgres(directory / "postgres", options=POSTGRES_OPTIONS)
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
    connection = await connect(url, MIGRATION_SETTINGS)
    await migrate(connection)
    await ensure_partitions(connection, utc_now(), max_age_days=7)
    await connection.close()
