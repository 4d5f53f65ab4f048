"""The sidecar as a service, on a real port: outages of the database, the schema, metrics, HEAD."""

import asyncio

import asyncpg
import pytest
from structlog.testing import capture_logs

import http_service_support
from gateway_harness import eventually
from http_service_support import PERFORMANCE, becomes, environ, sidecar, status
from http_support import meter, vehicle, write
from joulegate_cli.local.ports import free_port
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.errors import PortTakenError, SchemaMismatchError
from joulegate_core.settings import load_settings
from joulegate_db.connect import READER_SETTINGS, connect
from joulegate_http.service import run_http

own_server = http_service_support.own_server


async def test_it_answers_over_a_real_port(database_url: str) -> None:
    await write(database_url, [meter(1, 2.0), vehicle(1, 1.8)])
    async with sidecar(database_url) as client:
        response = await client.get(PERFORMANCE)
        assert response.json()["efficiencyRatio"] == pytest.approx(0.9)
        assert (await client.get("/readyz")).json() == {"status": "ok"}


async def test_head_is_get_without_the_body(database_url: str) -> None:
    await write(database_url, [meter(1, 2.0), vehicle(1, 1.8)])
    async with sidecar(database_url) as client:
        for path in (PERFORMANCE, "/v1/vehicles/v-1", "/v1/meters/m-1", "/healthz", "/readyz", "/v1/vehicles/none"):
            head, get = await client.head(path), await client.get(path)
            assert head.status_code == get.status_code
            assert head.headers["content-type"] == get.headers["content-type"]
            assert head.headers["content-length"] == str(len(get.content))
            assert head.content == b""


async def test_metrics_count_requests_by_route_and_status(database_url: str) -> None:
    await write(database_url, [vehicle(1, 1.8)])
    async with sidecar(database_url) as client:
        for path in (PERFORMANCE, PERFORMANCE, "/v1/vehicles/none", "/v1/vehicles/also-none", "/etc/passwd"):
            await client.get(path)
        lines = (await client.get("/metrics")).text.splitlines()
    route = "/v1/analytics/performance/{vehicleId}"
    assert f'joulegate_http_requests_total{{route="{route}",status="200"}} 2.0' in lines
    assert 'joulegate_http_requests_total{route="/v1/vehicles/{vehicleId}",status="404"} 2.0' in lines
    assert 'joulegate_http_requests_total{route="unmatched",status="404"} 1.0' in lines
    assert f'joulegate_http_request_seconds_count{{route="{route}"}} 2.0' in lines
    assert not any("passwd" in line for line in lines)


async def test_an_outage_is_503_and_passes_by_itself(own_server: LocalPostgres) -> None:
    await write(own_server.url(), [meter(1, 2.0), vehicle(1, 1.8)])
    async with sidecar(own_server.url()) as client:
        assert await status(client, PERFORMANCE) == 200
        own_server.stop("immediate")
        with capture_logs() as logs:
            response = await client.get(PERFORMANCE)
        assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
        assert response.headers["retry-after"] == "5"
        assert str(own_server.url()) not in response.text
        assert "database_unavailable" in {entry["event"] for entry in logs}
        assert await status(client, "/v1/vehicles/v-1") == 503
        assert (await client.get("/readyz")).json()["code"] == "database_unavailable"
        assert await status(client, "/healthz") == 200
        own_server.start()
        await becomes(client, PERFORMANCE, 200)
        assert await status(client, "/readyz") == 200


async def test_it_starts_while_the_database_is_down(own_server: LocalPostgres) -> None:
    await write(own_server.url(), [vehicle(1, 1.8)])
    own_server.stop()
    async with sidecar(own_server.url()) as client:
        assert await status(client, PERFORMANCE) == 503
        assert await status(client, "/readyz") == 503
        own_server.start()
        await becomes(client, "/readyz", 200)
        assert await status(client, PERFORMANCE) == 200


async def test_it_refuses_a_database_without_the_schema(database_url: str, db: asyncpg.Connection) -> None:
    await db.execute("delete from schema_migrations where version = (select max(version) from schema_migrations)")
    settings = load_settings(environ(free_port(), database_url))
    with pytest.raises(SchemaMismatchError, match="joulegate migrate"):
        await run_http(settings, asyncio.Event())


async def test_it_refuses_a_newer_schema(database_url: str, db: asyncpg.Connection) -> None:
    await db.execute("insert into schema_migrations (version, name, checksum) values (9999, 'later', 'x')")
    settings = load_settings(environ(free_port(), database_url))
    with pytest.raises(SchemaMismatchError, match="upgrade joulegate"):
        await run_http(settings, asyncio.Event())


async def test_it_ends_when_a_database_comes_up_with_a_wrong_schema(own_server: LocalPostgres) -> None:
    connection = await connect(own_server.url(), {})
    await connection.execute("delete from schema_migrations")
    await connection.close()
    own_server.stop()
    running = asyncio.create_task(run_http(load_settings(environ(free_port(), own_server.url())), asyncio.Event()))
    await asyncio.sleep(0.3)
    assert not running.done()
    own_server.start()
    with pytest.raises(SchemaMismatchError):
        await asyncio.wait_for(running, 20)


async def test_a_schema_that_changes_under_it_makes_it_unready(database_url: str, db: asyncpg.Connection) -> None:
    async with sidecar(database_url) as client:
        await becomes(client, "/readyz", 200)
        await asyncio.sleep(1)  # its own check at the start has ended too: after that a mismatch is told, not fatal
        await db.execute("insert into schema_migrations (version, name, checksum) values (9999, 'later', 'x')")
        response = await client.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, "schema_mismatch")
        assert "upgrade joulegate" in response.json()["detail"]


async def test_an_answer_that_takes_too_long_is_503(database_url: str, db: asyncpg.Connection) -> None:
    """A lock holds the answer up; cancelling the statement ends it as the statement timeout does, only sooner."""
    await write(database_url, [vehicle(1, 1.8)])
    locker = await asyncpg.connect(database_url)
    waiting = "select pid from pg_stat_activity where application_name = 'joulegate-http' and wait_event_type = 'Lock'"

    async def cancelled() -> bool:
        return await db.fetchval(f"select count(pg_cancel_backend(pid)) > 0 from ({waiting}) as backend") is True

    async with sidecar(database_url) as client:
        async with locker.transaction():
            await locker.execute("lock table vehicle_history in access exclusive mode")
            asking = asyncio.create_task(client.get(PERFORMANCE, timeout=30))
            await eventually(cancelled)
            response = await asking
        await locker.close()
        assert (response.status_code, response.json()["code"]) == (503, "answer_too_slow")
        assert response.headers["retry-after"] == "30"
        assert await status(client, PERFORMANCE) == 200


async def test_it_reads_from_the_replica_when_there_is_one(database_url: str) -> None:
    await write(database_url, [vehicle(1, 1.8)])
    nowhere = f"postgresql://joulegate@127.0.0.1:{free_port()}/joulegate"
    async with sidecar(nowhere, JOULEGATE_READ_DATABASE_URL=database_url) as client:
        assert await status(client, PERFORMANCE) == 200


async def test_a_port_that_is_taken_is_named(database_url: str) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(PortTakenError, match="JOULEGATE_HTTP_PORT"):
        await run_http(load_settings(environ(port, database_url)), asyncio.Event())
    server.close()
    await server.wait_closed()


async def test_the_readers_sessions_cannot_write_and_end_in_time(database_url: str) -> None:
    connection = await connect(database_url, READER_SETTINGS)
    assert await connection.fetchval("show statement_timeout") == "10s"
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.execute("delete from devices")
    await connection.close()
