"""How the gateway ends: exit codes, one clear line for what a person must mend, and logs that hold no secret."""

import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import asyncpg
import mqtt5
import pytest

from chaos.proxy import Proxy
from gateway_harness import Gateway, eventually, meter, now_ms, publisher, vehicle
from joulegate_cli.local.ports import free_port
from joulegate_cli.local.postgres import LocalPostgres
from process_harness import Launch, launching, until_status


@pytest.fixture
async def launch(gateway: Gateway, tmp_path: Path) -> AsyncIterator[Launch]:
    async with launching(gateway, tmp_path) as launch:
        yield launch


@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        ({"btach_max": 5}, 2, ["JOULEGATE_BTACH_MAX", "did you mean JOULEGATE_BATCH_MAX?"]),
        ({"linger_ms": "soon"}, 2, ["JOULEGATE_LINGER_MS", "docs/configuration.md"]),
        ({"mqtt_url": "mqtt://u:s3cr3t@h:0"}, 2, ["JOULEGATE_MQTT_URL", "port"]),
    ],
    ids=["name", "value", "url"],
)
async def test_a_bad_setting_ends_with_2_and_one_line(
    launch: Launch, overrides: dict[str, Any], code: int, words: list[str]
) -> None:
    process = await launch(**overrides)
    assert await process.end() == (code, "")
    process.assert_one_line(*words)
    assert "s3cr3t" not in process.errors()[0]


async def test_a_taken_metrics_port_ends_with_1(launch: Launch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await launch(metrics_port=port)
        assert await process.end() == (1, "")
    process.assert_one_line(f"127.0.0.1:{port}", "Set JOULEGATE_METRICS_PORT to a free port")


async def test_a_migration_without_the_right_to_ends_with_1(
    launch: Launch, postgres_server: LocalPostgres, db: asyncpg.Connection
) -> None:
    name = await db.fetchval("select current_database()")
    await db.execute("drop table schema_migrations; create role nobody_in_particular login")
    try:
        url = postgres_server.url(name).replace("joulegate@", "nobody_in_particular@")
        process = await launch("migrate", database_url=url)
        assert await process.end() == (1, "")
        process.assert_one_line("permission denied", "docs/roles.md")
    finally:
        await db.execute("drop role nobody_in_particular")


async def test_a_missing_schema_ends_with_1(launch: Launch, postgres_server: LocalPostgres) -> None:
    process = await launch(database_url=postgres_server.url())
    assert await process.end() == (1, "")
    process.assert_one_line("run `joulegate migrate`")
    process = await launch("migrate", "--check", database_url=postgres_server.url())
    assert await process.end() == (1, "")
    process.assert_one_line("run `joulegate migrate`")


async def test_migrate_and_its_check(launch: Launch) -> None:
    for arguments in (("migrate", "--check"), ("migrate",), ("migrate", "--check")):
        code, output = await (await launch(*arguments)).end()
        assert (code, output.startswith("schema is current")) == (0, True)


async def test_a_twin_ends_it_with_1(gateway: Gateway, launch: Launch) -> None:
    async with Proxy(gateway.broker.port) as proxy:
        process = await launch(mqtt_url=f"mqtt://127.0.0.1:{proxy.port}")
        await until_status(gateway, "/readyz", process)
        taken_over = mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
        proxy.last_words = mqtt5.DisconnectPacket(reason_code=taken_over).write()
        async with aiomqtt.Client(hostname="127.0.0.1", port=gateway.broker.port, identifier=gateway.client_id):
            assert await process.end() == (1, "")
    process.assert_one_line("client id", "JOULEGATE_CLIENT_ID")
    assert not [line for line in process.errors() if gateway.client_id in line]


async def test_logs_are_json_and_hold_neither_payloads_nor_passwords(
    gateway: Gateway, launch: Launch, database_url: str, db: asyncpg.Connection
) -> None:
    await db.execute("alter table vehicle_history add constraint not_thirteen check (soc <> 13)")
    process = await launch(
        mqtt_url=gateway.broker.url.replace("//", "//user:s3cr3t@"),
        database_url=database_url.replace("joulegate@", "joulegate:s3cr3t@"),
    )
    await until_status(gateway, "/readyz", process)
    async with publisher(gateway.broker) as publish:
        await publish("fleet/s3cr3t/meter", b"s3cr3t")
        await publish("fleet/s3cr3t/vehicle", vehicle("s3cr3t", soc=13))
        await publish("fleet/s3cr3t s3cr3t/vehicle", meter("s3cr3t"))
        await gateway.settle(3)
        await db.execute(
            f"drop table meter_history_{now_ms():%Y%m%d}"
        )  # the next batch is held until it is there again
        await publish("fleet/s3cr3t/meter", meter("s3cr3t"))
        await gateway.settle(4)
    process.send(signal.SIGTERM)
    assert (await process.end())[0] == 0
    seen = {event["event"] for event in process.events()}
    assert {"subscribed", "reading_refused_by_database", "batch_held", "partitions_created", "gateway_stopped"} <= seen
    assert all({"level", "timestamp", "component"} <= event.keys() for event in process.events())
    assert not [line for line in process.errors() if "s3cr3t" in line]


async def test_an_error_of_a_server_does_not_show_a_password(gateway: Gateway, launch: Launch) -> None:
    port = free_port()
    process = await launch(
        mqtt_url=f"mqtt://user:s3cr3t@127.0.0.1:{port}", database_url=f"postgresql://u:s3cr3t@127.0.0.1:{port}/s3cr3t"
    )
    await until_status(gateway, "/healthz", process)

    async def has_tried() -> bool:
        return any("unavailable" in line for line in process.errors())

    await eventually(has_tried)
    process.send(signal.SIGTERM)
    assert (await process.end())[0] == 0
    assert not [line for line in process.errors() if "s3cr3t" in line]
