"""Real parts for every test: one PostgreSQL and one broker a session, a database of its own for each test."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from databases import scratch_database
from gateway_harness import Gateway
from joulegate_cli.local import ports
from joulegate_cli.local.broker import LocalBroker, find_mosquitto
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_db.partitions import ensure_partitions

# before a test imports them: what they assert is told with its values, as in the tests themselves
pytest.register_assert_rewrite("oracle_stand", *(path.stem for path in Path(__file__).parent.glob("*_support.py")))

TEMPLATE = "joulegate_template"

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
ports.RANGE = range(20_000 + WORKER % 4 * 3000, 23_000 + WORKER % 4 * 3000)
"""Below the ports that Linux gives to clients; each process of a run has its own."""

SERVER_OPTIONS = {"fsync": "off", "shared_buffers": "256MB", "max_connections": "100", "max_wal_size": "1GB"}
"""No test pulls the machine's plug; the crash tests keep fsync on in a server of their own, on a disk."""

MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 << 30
"""To make a database is to make a thousand small files: in memory it takes a tenth of the time, where there is so much for each process."""


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A running PostgreSQL; JOULEGATE_TEST_PG_BIN chooses another one's programs (15, say) over the embedded 18."""
    chosen = os.environ.get("JOULEGATE_TEST_PG_BIN")
    with _server_directory(tmp_path_factory) as directory:
        server = LocalPostgres(directory, options=SERVER_OPTIONS, bin_dir=Path(chosen) if chosen else None)
        server.start()
        try:
            asyncio.run(_create_template(server))
            yield server
        finally:
            server.stop("immediate")


@contextmanager
def _server_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < processes * MEMORY_BYTES:
        yield tmp_path_factory.mktemp("pg")
        return
    with tempfile.TemporaryDirectory(prefix="joulegate-test-", dir=MEMORY) as name:
        Path(name).chmod(0o755)  # the server runs as another user
        yield Path(name)


async def _create_template(server: LocalPostgres) -> None:
    maintenance = await asyncpg.connect(server.url())
    await maintenance.execute(f"create database {TEMPLATE}")
    await maintenance.close()
    connection = await connect(server.url(TEMPLATE), MIGRATION_SETTINGS)
    await migrate(connection)
    await ensure_partitions(connection, utc_now(), max_age_days=7)
    await connection.close()


@pytest.fixture
async def database_url(postgres_server: LocalPostgres) -> AsyncIterator[str]:
    """The URL of a fresh database with the current schema and partitions from 8 days ago to the day after tomorrow."""
    async with scratch_database(postgres_server, TEMPLATE) as url:
        yield url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the test's database, to look with."""
    connection = await asyncpg.connect(database_url)
    yield connection
    connection.terminate()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """The session's broker: mosquitto where it is installed, else the built-in one. Sessions are told apart by client id."""
    server = LocalBroker(tmp_path_factory.mktemp("broker"), persistence=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[LocalBroker]:
    """A mosquitto of the test's own, to be stopped, killed and started again; it keeps its sessions."""
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed, and the built-in broker keeps no sessions over a restart")
    server = LocalBroker(tmp_path / "broker", kind="mosquitto")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def gateway(broker: LocalBroker, database_url: str) -> AsyncIterator[Gateway]:
    """A gateway on the session's broker and the test's database, not started yet, with a fleet namespace of its own."""
    harness = Gateway(broker, database_url)
    yield harness
    await harness.close()
