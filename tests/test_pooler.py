"""PgBouncer in transaction mode between the HTTP sidecar and PostgreSQL; and what refuses to go through it."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from gateway_harness import Gateway
from http_service_support import environ, sidecar
from http_support import Reading, ask, assert_streamed, at, meter, vehicle, write
from joulegate_cli.local.ports import free_port
from joulegate_core.errors import DatabaseUnavailableError, PoolerError
from joulegate_core.settings import load_settings
from joulegate_db.reader import open_reader
from joulegate_db.writer import Writer
from joulegate_http.service import run_http
from pooler_harness import pooled
from process_harness import launching

IGNORED = (
    "default_transaction_read_only,plan_cache_mode,jit,statement_timeout,enable_seqscan,lock_timeout,synchronous_commit"
)
IGNORED += ",idle_in_transaction_session_timeout,enable_hashjoin,enable_mergejoin"

ROUTES = [
    *(f"/v1/analytics/performance/v-{number}" for number in range(4)),
    "/v1/analytics/performance/v-1/series?bucket=15m",
    "/v1/analytics/performance/nobody",
    "/v1/analytics/fleet",
    "/v1/vehicles",
    "/v1/vehicles/v-1",
    "/v1/meters",
    "/v1/meters/m-2",
    "/v1/alerts",
    "/v1/links",
    "/v1/quarantine",
]


def readings() -> list[Reading]:
    """Half an hour of four charge points."""
    return [
        reading
        for minute in range(30)
        for number in range(4)
        for reading in (
            meter(minute, 1.0 + number, device=f"m-{number}", cp=f"cp-{number}"),
            vehicle(minute, 0.9 + number, device=f"v-{number}", cp=f"cp-{number}"),
        )
    ]


async def test_answers_are_the_same_and_links_are_made(database_url: str, tmp_path: Path) -> None:
    """More questions at once than the pooler has sessions, so that a question meets sessions that others have used."""
    await write(database_url, readings())
    more: Any = {"JOULEGATE_READ_POOLING": "transaction"}
    with pooled(database_url, tmp_path) as through:
        async with (
            sidecar(database_url) as direct,
            sidecar(database_url, JOULEGATE_READ_DATABASE_URL=through, **more) as client,
        ):
            wanted = [await direct.get(route) for route in ROUTES]
            for _ in range(3):
                found = await asyncio.gather(*(client.get(route) for route in ROUTES * 3))
                assert [(one.status_code, _body(one)) for one in found] == [
                    (x.status_code, _body(x)) for x in wanted * 3
                ]
            put = {"vehicleId": "v-1", "meterId": "m-2", "validFrom": at(0).isoformat()}
            assert (await client.put("/v1/links", json=put)).status_code == 201
            answer = (await client.get(ROUTES[1])).json()
            assert answer["quality"]["pairing"] == "link"
            assert answer["totalKwhConsumedAc"] == pytest.approx(90)


def _body(response: object) -> object:
    """The answer, without the id of the request."""
    body = response.json()  # type: ignore[attr-defined]
    return {name: value for name, value in body.items() if name != "requestId"}


async def test_settings_go_with_the_question_and_stay_with_nobody(database_url: str, tmp_path: Path) -> None:
    shown = "select current_setting('statement_timeout'), current_setting('plan_cache_mode'), current_setting('transaction_read_only')"
    with pooled(database_url, tmp_path) as through:
        async with open_reader(through, by_transaction=True) as reader:
            async with reader.snapshot() as connection:
                assert tuple(await connection.fetchrow(shown)) == ("10s", "force_custom_plan", "on")
            with pytest.raises(DatabaseUnavailableError, match="25006"):
                async with reader.snapshot() as connection:
                    await connection.execute("create table mine ()")
        other = await asyncpg.connect(through, statement_cache_size=0)
        assert tuple(await other.fetchrow(shown)) == ("0", "auto", "off")
        await other.close()


async def test_the_stream_hears_the_bell_on_its_direct_connection(
    database_url: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    await write(database_url, readings())
    more: Any = {"JOULEGATE_READ_POOLING": "transaction"}
    with pooled(database_url, tmp_path) as through:
        async with sidecar(database_url, JOULEGATE_READ_DATABASE_URL=through, **more) as client:
            await assert_streamed(client, db, database_url)


@pytest.mark.parametrize("ignored", ["", IGNORED], ids=["refused", "swallowed"])
async def test_what_needs_a_session_says_so(database_url: str, tmp_path: Path, ignored: str) -> None:
    """Whether the pooler refuses the settings at a connection's start, or swallows them and would mix sessions up later."""
    with pooled(database_url, tmp_path, ignored=ignored) as through:
        with pytest.raises(PoolerError, match="needs a direct connection"):
            await Writer.open(through)
        with pytest.raises(PoolerError, match="JOULEGATE_READ_POOLING=transaction"):
            await ask(through)
        settings = load_settings(environ(free_port(), database_url, JOULEGATE_READ_DATABASE_URL=through))
        with capture_logs(), pytest.raises(PoolerError):
            await asyncio.wait_for(run_http(settings, asyncio.Event()), 10)


async def test_the_gateway_ends_with_one_line(gateway: Gateway, database_url: str, tmp_path: Path) -> None:
    """It must not try again for ever: nothing gets better by itself."""
    (tmp_path / "run").mkdir()
    with pooled(database_url, tmp_path) as through:
        async with launching(gateway, tmp_path / "run") as launch:
            process = await launch(database_url=through)
            code, _ = await process.end()
            assert code == 1
            process.assert_one_line("pooler", "JOULEGATE_DATABASE_URL needs a direct connection")
