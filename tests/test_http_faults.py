"""The sidecar while its database is slow, silent, full, killed or read-only: 503 within a bound, and alive again by itself."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest

from chaos.proxy import Proxy
from gateway_harness import eventually
from http_service_support import becomes, prepare, sidecar, status
from http_support import Json, meter, vehicle, write
from joulegate_cli.local.ports import free_port
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_db import checked_pool, reader
from joulegate_db.connect import READER_SETTINGS
from joulegate_http import operations

VEHICLE = "/v1/vehicles/v-1"
METER = "/v1/meters/m-1"
LINK: Json = {"vehicleId": "v-1", "meterId": "m-1", "validFrom": "2026-05-01T00:00:00Z"}
WAITING = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def tcp_server(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[LocalPostgres]:
    """A PostgreSQL that a proxy can stand before, and whose settings may be changed."""
    server = LocalPostgres(tmp_path_factory.mktemp("tcp"), port=port, options={"fsync": "off"}).start()
    yield server
    server.stop("immediate")


@pytest.fixture
async def database(tcp_server: LocalPostgres) -> str:
    """The name of a database on it with the schema, a vehicle and a meter."""
    name = f"t_{secrets.token_hex(6)}"
    maintenance = await asyncpg.connect(tcp_server.tcp_url())
    await maintenance.execute(f"create database {name}")
    await maintenance.close()
    await prepare(tcp_server.tcp_url(name))
    await write(tcp_server.tcp_url(name), [meter(1, 2.0), vehicle(1, 1.8)])
    return name


@pytest.fixture
async def proxy(port: int) -> AsyncIterator[Proxy]:
    """What stands between the sidecar and the server."""
    async with Proxy(port) as one:
        yield one


@pytest.fixture
async def api(tcp_server: LocalPostgres, database: str, proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a sidecar that reaches its database through the proxy."""
    async with sidecar(tcp_server.tcp_url(database, port=proxy.port)) as client:
        await becomes(client, "/readyz", 200)
        yield client


@pytest.fixture
async def direct(tcp_server: LocalPostgres, database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection past the proxy."""
    connection = await asyncpg.connect(tcp_server.tcp_url(database))
    yield connection
    connection.terminate()


@asynccontextmanager
async def locked(direct: asyncpg.Connection, table: str) -> AsyncIterator[None]:
    """Holds up every question that reads the table."""
    async with direct.transaction():
        await direct.execute(f"lock table {table} in access exclusive mode")
        yield


async def ask_many(api: httpx.AsyncClient, path: str, count: int = reader.POOL_SIZE) -> list[int]:
    """The statuses of so many questions at once; by default as many as take all connections."""
    return list(await asyncio.gather(*(status(api, path) for _ in range(count))))


async def waiting(tcp_server: LocalPostgres, database: str) -> list[int]:
    """The server processes of questions that wait for a lock."""
    looking = await asyncpg.connect(tcp_server.tcp_url(database))
    try:
        return [row["pid"] for row in await looking.fetch(WAITING)]
    finally:
        await looking.close()


async def ask_and_hold(api: httpx.AsyncClient, path: str) -> asyncio.StreamWriter:
    """Sends a question over a connection of its own, and does not wait for the answer."""
    _, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await writer.drain()
    return writer


def refused(response: httpx.Response, code: str, retry_after: int = 5) -> None:
    """503 with this code, and when to try again."""
    assert (response.status_code, response.json()["code"]) == (503, code)
    assert response.headers["retry-after"] == str(retry_after)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds, made short: what counts is that there is one."""
    monkeypatch.setattr(checked_pool, "ACQUIRE_SECONDS", 0.5)
    monkeypatch.setattr(reader, "ANSWER_SECONDS", 1.0)


@pytest.mark.usefixtures("quick")
async def test_connections_into_a_black_hole_are_cut_off_and_replaced(api: httpx.AsyncClient, proxy: Proxy) -> None:
    """One question pays for it. The other connections of that time are not tried: they are no better."""
    assert set(await ask_many(api, VEHICLE)) == {200}
    proxy.stall()
    refused(await api.get(VEHICLE, timeout=10), "database_unavailable")
    assert set(await ask_many(api, VEHICLE)) == {200}


@pytest.mark.usefixtures("quick")
async def test_a_server_that_does_not_answer_at_all_is_503_within_a_bound(api: httpx.AsyncClient, proxy: Proxy) -> None:
    proxy.refusing = True
    proxy.stall()
    async with asyncio.timeout(10):
        assert set(await ask_many(api, VEHICLE, 20)) == {503}
        refused(await api.put("/v1/links", json=LINK), "database_unavailable")
    assert await status(api, "/healthz") == 200
    proxy.refusing = False
    await becomes(api, VEHICLE, 200)
    assert await status(api, "/readyz") == 200


async def test_readiness_does_not_wait_for_a_silent_server(
    api: httpx.AsyncClient, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "READY_SECONDS", 0.3)
    proxy.stall()
    started = time.monotonic()
    refused(await api.get("/readyz", timeout=20), "database_unavailable")
    assert time.monotonic() - started < checked_pool.ACQUIRE_SECONDS  # which cleaning up would take
    await becomes(api, "/readyz", 200)


async def test_a_pool_that_is_taken_is_503_and_others_get_their_answers(
    api: httpx.AsyncClient,
    direct: asyncpg.Connection,
    tcp_server: LocalPostgres,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checked_pool, "ACQUIRE_SECONDS", 0.5)

    async def all_taken() -> bool:
        return len(await waiting(tcp_server, database)) == reader.POOL_SIZE

    async with locked(direct, "vehicle_live"):
        held_up = asyncio.create_task(ask_many(api, VEHICLE))
        await eventually(all_taken)
        for path in (VEHICLE, METER, "/readyz"):
            refused(await api.get(path, timeout=20), "database_busy")
        assert await status(api, "/v1/links") == 200  # a pool of its own
    assert set(await held_up) == {200}
    assert set(await ask_many(api, METER, 20)) == {200}


async def test_the_statement_timeout_is_503_and_the_connection_goes_on(
    tcp_server: LocalPostgres, database: str, direct: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READER_SETTINGS, "statement_timeout", "300ms")
    async with sidecar(tcp_server.tcp_url(database)) as api:
        async with locked(direct, "vehicle_live"):
            for _ in range(reader.POOL_SIZE + 1):  # each gives its connection back
                refused(await api.get(VEHICLE, timeout=20), "answer_too_slow", 30)
            assert await status(api, METER) == 200
        assert await status(api, VEHICLE) == 200


async def test_a_server_process_that_is_killed_in_mid_question_is_503(
    api: httpx.AsyncClient, direct: asyncpg.Connection, tcp_server: LocalPostgres, database: str
) -> None:
    async with locked(direct, "vehicle_live"):
        asking = asyncio.create_task(api.get(VEHICLE, timeout=20))
        await eventually(lambda: waiting(tcp_server, database))
        [pid] = await waiting(tcp_server, database)
        await direct.execute("select pg_terminate_backend($1)", pid)
        refused(await asking, "database_unavailable")
    assert await status(api, VEHICLE) == 200


async def test_connections_that_were_ended_while_idle_are_not_given_to_a_question(
    api: httpx.AsyncClient, direct: asyncpg.Connection
) -> None:
    assert set(await ask_many(api, VEHICLE)) == {200}
    ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'joulegate-http'"
    assert await direct.fetchval(ended) >= 1
    await becomes(api, VEHICLE, 200)
    assert set(await ask_many(api, VEHICLE)) == {200}


async def test_a_server_that_only_reads_takes_no_links_until_it_does_again(
    api: httpx.AsyncClient, direct: asyncpg.Connection
) -> None:
    """As after a failover: answers go on, and the first change after it succeeds."""
    assert (await api.put("/v1/links", json=LINK)).status_code == 201

    async def read_only(value: str) -> None:
        await direct.execute(f"alter system set default_transaction_read_only = {value}")
        await direct.execute("select pg_reload_conf()")

    async def put_new() -> int:
        return (await api.put("/v1/links", json=LINK | {"meterId": secrets.token_hex(6)})).status_code

    async def is_refused() -> bool:
        return await put_new() == 503

    await read_only("on")
    try:
        await eventually(is_refused)
        assert await status(api, VEHICLE) == 200
    finally:
        await direct.execute("set default_transaction_read_only = off")
        await read_only("off")

    async def is_taken() -> bool:
        return await put_new() == 201

    await eventually(is_taken)


async def test_clients_that_leave_in_mid_question_leave_nothing_behind(
    api: httpx.AsyncClient,
    direct: asyncpg.Connection,
    tcp_server: LocalPostgres,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A hundred, each while its question waits: the next one is answered although the lock still holds up the others' table."""
    async with locked(direct, "vehicle_live"):
        for _ in range(5):
            asking = [await ask_and_hold(api, VEHICLE) for _ in range(20)]
            await eventually(lambda: waiting(tcp_server, database))
            for one in asking:
                one.close()
        assert await status(api, METER) == 200

        async def none_waits() -> bool:
            return not await waiting(tcp_server, database)

        await eventually(none_waits)
    assert set(await ask_many(api, VEHICLE)) == {200}
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}]
    lines = (await api.get("/metrics")).text.splitlines()
    left = [line for line in lines if "requests_total" in line and 'status="499"' in line]
    assert sum(float(line.rpartition(" ")[2]) for line in left) == 100


async def test_a_change_is_finished_although_its_client_has_left(
    api: httpx.AsyncClient, direct: asyncpg.Connection, tcp_server: LocalPostgres, database: str
) -> None:
    async with locked(direct, "links"):
        putting = asyncio.create_task(api.put("/v1/links", json=LINK))
        await eventually(lambda: waiting(tcp_server, database))
        putting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await putting

    async def is_there() -> bool:
        return len((await api.get("/v1/links")).json()["links"]) == 1

    await eventually(is_there)
