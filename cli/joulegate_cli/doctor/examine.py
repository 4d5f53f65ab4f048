"""Looks at everything that can be reached, and goes on when something cannot."""

import asyncio
from collections.abc import Iterator
from datetime import UTC
from urllib.parse import parse_qs, urlsplit

import asyncpg
import msgspec

from joulegate_cli.doctor import database, readings
from joulegate_cli.doctor.broker import ask_broker, judge_broker
from joulegate_cli.doctor.finding import Finding, critical, note, ok
from joulegate_cli.doctor.gateway import ask_gateway, judge_gateway
from joulegate_cli.doctor.mosquitto import MosquittoConf, judge_conf
from joulegate_core.clock import utc_now
from joulegate_core.errors import BrokerUnavailableError, DatabaseUnavailableError, SchemaMismatchError
from joulegate_core.settings import Settings
from joulegate_core.telemetry import READING_INTERVAL_SECONDS
from joulegate_db import checkup
from joulegate_db.connect import connect
from joulegate_db.failures import DATABASE_ERRORS, describe
from joulegate_db.migrate import require_schema, shipped_migrations

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Asked(msgspec.Struct, frozen=True):
    """What the command line adds to the settings. `gateway`: a URL without a path, None for none."""

    gateway: str | None
    conf: MosquittoConf | None


async def examine(settings: Settings, asked: Asked) -> list[Finding]:
    """All findings, in a fixed order. Raises nothing for what is broken: that is a finding."""
    in_database, in_broker = await asyncio.gather(_database(settings), _broker(settings))
    findings, fleet = in_database
    findings += in_broker
    if asked.conf is None:
        text = "limits and persistence are not to be seen over MQTT"
        findings.append(
            note(
                "broker queue",
                text,
                "give --mosquitto-conf FILE, and hear how long an outage it survives; for other brokers: docs/brokers.md",
            )
        )
    else:
        reporting = fleet.reporting if fleet else 0
        findings += judge_conf(asked.conf, reporting, settings.session_expiry_seconds, READING_INTERVAL_SECONDS)
    if asked.gateway is not None:
        facts = await asyncio.to_thread(ask_gateway, asked.gateway)
        findings += judge_gateway(facts, asked.gateway)
    return findings


async def _broker(settings: Settings) -> list[Finding]:
    try:
        return list(judge_broker(await ask_broker(settings), settings))
    except BrokerUnavailableError as error:
        return [critical("broker", str(error), "until it is back, devices cannot deliver")]


async def _database(settings: Settings) -> tuple[list[Finding], checkup.Fleet | None]:
    findings: list[Finding] = []
    try:
        connection = await connect(settings.database_url, checkup.CHECKUP_SETTINGS)
    except DatabaseUnavailableError as error:
        return [critical("database", str(error), "until it is back, readings wait at the broker")], None
    fleet = None
    try:
        server = await _server(connection, findings)
        await require_schema(connection)
        findings.append(ok("schema", f"version {shipped_migrations()[-1].version}, this joulegate's"))
        fleet = await _schema(connection, settings, server, findings)
    except SchemaMismatchError as error:
        findings.append(critical("schema", str(error), "the services refuse to start on it"))
    except DATABASE_ERRORS as error:
        findings.append(critical("database", f"a question failed: {describe(error)}", "the server's log says why"))
    finally:
        connection.terminate()
    return findings, fleet


async def _server(connection: asyncpg.Connection, findings: list[Finding]) -> checkup.Server:
    began = utc_now()
    server = await checkup.server(connection)
    took = (utc_now() - began).total_seconds()
    findings += database.judge_server(server)
    findings.append(database.judge_clock(server.clock, began, took))
    findings.append(database.judge_bloat(await checkup.bloated(connection)))
    return server


async def _schema(
    connection: asyncpg.Connection, settings: Settings, server: checkup.Server, findings: list[Finding]
) -> checkup.Fleet:
    now = utc_now()
    findings.append(database.judge_logins(await checkup.logins(connection)))
    days = await checkup.days(connection, now.astimezone(UTC).date())
    findings.append(database.judge_days(days, now, settings.max_age_days))
    findings.append(database.judge_disk(server, days, local=is_local(settings.database_url)))
    fleet = await checkup.fleet(connection, now)
    refused = await checkup.quarantined(connection, now)
    findings.append(readings.judge_arrival(fleet, now))
    findings += readings.judge_rollups(await checkup.rollups(connection), now)
    findings.append(readings.judge_clocks(fleet, refused))
    findings.append(readings.judge_lateness(await checkup.lateness(connection, now)))
    findings += readings.judge_quarantine(refused, fleet, now, int(settings.quarantine_max_mb * 1_000_000))
    return fleet


def is_local(url: str) -> bool:
    """Whether the database's directory may be on this machine: loopback, or a socket."""
    return all(host in LOOPBACK or host.startswith("/") for host in _hosts(url))


def _hosts(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    named = parse_qs(parts.query).get("host", [])
    yield from named or [parts.hostname or "localhost"]
