"""`joulegate doctor`: looks at real parts, and says of each fault what it is and what to do."""

import asyncio
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from command_support import COMMAND
from fault_harness import require_mosquitto
from gateway_harness import Gateway, eventually, meter, publisher, vehicle
from joulegate_cli.doctor.broker import VERSION_TOPIC, BrokerFacts, judge_broker
from joulegate_cli.doctor.database import judge_bloat, judge_clock, judge_days, judge_disk, judge_server
from joulegate_cli.doctor.examine import is_local
from joulegate_cli.doctor.finding import Finding, Severity
from joulegate_cli.doctor.mosquitto import ConfError, MosquittoConf, judge_conf, read_conf
from joulegate_cli.doctor.readings import (
    judge_arrival,
    judge_clocks,
    judge_lateness,
    judge_quarantine,
    judge_rollups,
)
from joulegate_core.clock import utc_now
from joulegate_core.settings import Settings
from joulegate_db import checkup
from joulegate_db.checkup import Days, Fleet, Lateness, Refused, RollupsNow, Server
from joulegate_db.connect import connect
from joulegate_db.presence import EPOCH
from joulegate_db.sql import query
from joulegate_gateway.broker_watch import DROPPED_TOPIC

SHIPPED_CONF = Path(__file__).parent.parent / "mosquitto/mosquitto.conf"
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SERVER = Server("18.1", 18, NOW, standby=False, octets=10**9, transaction_age=10**6, connections=5, max_connections=100,
                oldest_transaction=None, data_directory=None, off=[])  # fmt: skip
FLEET = Fleet(devices=1000, reporting=1000, received_at=NOW, late=0, ahead=0, worst=None)
DAYS = Days([NOW.date() + timedelta(days=offset) for offset in range(-8, 3)], 10**9)
WEEK = 7 * 86_400


def change(thing: Any, **fields: Any) -> Any:
    return type(thing)(**{name: getattr(thing, name) for name in thing.__struct_fields__} | fields)


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
    return subprocess.run(
        [*COMMAND, "doctor", *arguments], env=kept | environ, capture_output=True, text=True, timeout=60, check=False
    )


async def test_a_stack_that_works_and_its_one_fault(gateway: Gateway, db: asyncpg.Connection) -> None:
    """The suite's PostgreSQL runs with fsync off: that, and nothing else, needs action."""
    require_mosquitto(gateway.broker)
    await gateway.start()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/meter", meter())
        await publish("fleet/cp-1/vehicle", vehicle())
    await gateway.settle(2)

    async def attributed() -> bool:
        return bool(await db.fetchval("select attributed_until > 'epoch' from charging_state"))

    await eventually(attributed)
    done = await asyncio.to_thread(run, gateway.environ(), "--json", "--mosquitto-conf", str(SHIPPED_CONF))
    assert (done.returncode, done.stderr) == (1, "")
    answer = json.loads(done.stdout)
    found = {one["check"]: one for one in answer["findings"]}
    acting = [one for one in answer["findings"] if one["severity"] in {"warning", "critical"}]
    assert answer["needsAction"] is True
    assert [(one["check"], one["severity"]) for one in acting] == [("settings", "critical")], acting
    assert acting[0]["text"].startswith("fsync=off")
    assert "restart PostgreSQL" in acting[0]["action"]
    assert found["broker"]["text"].startswith("mosquitto version 2.")
    # which of the two depends on the age of the session's broker: mosquitto tells its count for a minute
    assert found["broker losses"]["text"] in {"none since its start", "none in the last minute"}
    assert found["readings"]["text"] == "2 of 2 devices heard within ten minutes"
    assert "0 pending" in found["gateway"]["text"]
    assert found.keys() >= {
        "database",
        "schema",
        "clock",
        "bloat",
        "partitions",
        "disk",
        "rollups",
        "device clocks",
        "quarantine",
    }
    table = (await asyncio.to_thread(run, gateway.environ())).stdout
    assert "critical  settings" in table
    assert "1 need action" in table


def test_what_cannot_be_reached_is_a_finding_and_no_secret_is_told() -> None:
    environ = {
        "JOULEGATE_DATABASE_URL": "postgresql://joulegate:hush-1@127.0.0.1:9/joulegate",
        "JOULEGATE_MQTT_URL": "mqtt://gateway:hush-2@127.0.0.1:9",
    }
    done = run(environ, "--gateway", "http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (1, "")
    for check in ("critical  database", "critical  broker", "warning   gateway"):
        assert check in done.stdout
    assert "hush" not in done.stdout


@pytest.mark.parametrize(
    "arguments", [["--mosquitto-conf", "/nonexistent"], ["--gateway", "127.0.0.1:9464"], ["--frobnicate"]]
)
def test_usage(arguments: list[str]) -> None:
    assert run({}, *arguments).returncode == 2


async def test_a_schema_that_is_not_ours(db: asyncpg.Connection, database_url: str) -> None:
    await db.execute("delete from schema_migrations where version = (select max(version) from schema_migrations)")
    done = run(
        {"JOULEGATE_DATABASE_URL": database_url, "JOULEGATE_MQTT_URL": "mqtt://127.0.0.1:9"}, "--gateway", "none"
    )
    assert done.returncode == 1
    assert "run `joulegate migrate`" in done.stdout


async def test_the_database_tells_devices_quarantine_and_days(db: asyncpg.Connection, database_url: str) -> None:
    now = utc_now()
    await db.execute(
        "insert into meter_live values "
        "($1, $1, 1, 230, true, 'm-1', 'cp-1'), ($1::timestamptz - interval '8 min', $1, 1, 230, true, 'm-late', 'cp-2'), "
        "($1::timestamptz + interval '2 min', $1, 1, 230, true, 'm-ahead', 'cp-3'), "
        "($1::timestamptz - interval '2 days', $1::timestamptz - interval '1 day', 1, 230, true, 'm-gone', 'cp-4')",
        now,
    )
    await db.execute(
        "insert into quarantine (first_seen, last_seen, topic, payload, reason, detail, digest) "
        "select $1::timestamptz - n * interval '1 hour', $1::timestamptz - n * interval '1 hour', "
        "'fleet/cp-' || n % 3 || '/meter', '', 'too_old', '', sha256(n::text::bytea) "
        "from generate_series(30, 1, -1) as n",
        now,
    )
    connection = await connect(database_url, checkup.CHECKUP_SETTINGS)
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.execute("delete from quarantine")
    fleet = await checkup.fleet(connection, now)
    assert (fleet.devices, fleet.reporting, fleet.late, fleet.ahead) == (4, 3, 1, 1)
    assert fleet.received_at == now
    assert fleet.worst == ["m-late at cp-2 (480 s)", "m-ahead at cp-3 (-120 s)"]
    await db.execute(
        "insert into vehicle_history select $1::timestamptz - n * interval '1 min', 1, 20, 50, n % 4 = 0, 'v-1', 'cp-1' "
        "from generate_series(1, 200) as n",
        now,
    )
    assert await checkup.lateness(connection, now) == Lateness(120, 30)
    [refused] = await checkup.quarantined(connection, now)
    assert (refused.reason, refused.kept_rows, refused.recent) == ("too_old", 30, 24)
    assert set(refused.places) == {"cp-0", "cp-1", "cp-2"}
    days = await checkup.days(connection, now.date())
    assert days.days[0] <= now.date() - timedelta(days=7)
    assert now.date() + timedelta(days=2) in days.days
    assert days.yesterday is not None
    assert await checkup.bloated(connection) == []
    connection.terminate()


async def test_quarantine_is_looked_at_from_its_newest_row_back(db: asyncpg.Connection) -> None:
    await db.execute(
        "insert into quarantine (first_seen, last_seen, topic, payload, reason, detail, digest) "
        "select now(), now(), 'fleet/cp/meter', '', 'empty', '', sha256(n::text::bytea) from generate_series(1, 20000) as n"
    )
    await db.execute("analyze quarantine")
    plan = await db.fetch(f"explain {query('doctor_quarantine')}", utc_now(), 100)
    assert any("Index Scan Backward using quarantine_pkey" in row[0] for row in plan), plan


def severities(findings: Any) -> list[str]:
    found = [findings] if isinstance(findings, Finding) else list(findings)
    for one in found:
        assert one.text
        assert not one.needs_action or one.action, "what needs action says which"
    return sorted(f"{one.severity.word} {one.check}" for one in found if one.severity > Severity.OK)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"major": 14}, ["critical database"]),
        ({"standby": True}, ["critical database"]),
        ({"off": ["autovacuum=off"]}, ["critical settings"]),
        ({"connections": 95}, ["warning connections"]),
        ({"oldest_transaction": 7200.0}, ["warning vacuum"]),
        ({"transaction_age": 600_000_000}, ["warning vacuum"]),
        ({"transaction_age": 1_600_000_000}, ["critical vacuum"]),
    ],
)
def test_the_server(changed: dict[str, Any], expected: list[str]) -> None:
    assert severities(judge_server(change(SERVER, **changed))) == expected


@pytest.mark.parametrize(
    ("ahead", "expected"), [(1.0, []), (-2.5, ["warning clock"]), (2.5, ["warning clock"]), (90, ["critical clock"])]
)
def test_the_clock(ahead: float, expected: list[str]) -> None:
    assert severities(judge_clock(NOW + timedelta(seconds=ahead), NOW, 0.1)) == expected


def test_bloat() -> None:
    assert severities(judge_bloat([checkup.Bloated("presence", 100, 90_000, 10**8, None)])) == ["warning bloat"]


@pytest.mark.parametrize(("gone", "expected"), [(None, []), (-7, ["warning partitions"]), (1, ["critical partitions"])])
def test_days_without_a_partition(gone: int | None, expected: list[str]) -> None:
    days = [day for day in DAYS.days if gone is None or day != NOW.date() + timedelta(days=gone)]
    assert severities(judge_days(Days(days, None), NOW, 7)) == expected


def test_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = change(SERVER, data_directory=str(tmp_path))
    assert severities(judge_disk(SERVER, DAYS, local=True)) == ["note disk"]
    assert severities(judge_disk(here, DAYS, local=False)) == ["note disk"]
    for free_days, expected in ((20, []), (10, ["warning disk"]), (2, ["critical disk"])):
        usage = shutil.disk_usage(tmp_path)._replace(free=free_days * 10**9)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        assert severities(judge_disk(here, DAYS, local=True)) == expected


@pytest.mark.parametrize(
    ("url", "local"),
    [("postgresql://u@127.0.0.1/d", True), ("postgresql:///d?host=/tmp", True), ("postgresql://u@db.example/d", False)],
)
def test_where_the_database_is(url: str, *, local: bool) -> None:
    assert is_local(url) is local


def test_arrival_and_rollups() -> None:
    assert severities(judge_arrival(FLEET, NOW)) == []
    assert severities(judge_arrival(FLEET, NOW + timedelta(minutes=6))) == ["critical readings"]
    assert severities(judge_arrival(change(FLEET, received_at=None), NOW)) == ["note readings"]
    good = RollupsNow(NOW - timedelta(minutes=17), NOW - timedelta(minutes=17), 0, has_readings=True)
    for changed, expected in (
        ({}, []),
        ({"rolled_until": NOW - timedelta(hours=1)}, ["warning rollups"]),
        ({"rolled_until": NOW - timedelta(hours=9)}, ["critical rollups"]),
        ({"marks": 10**6}, ["warning rollups"]),
        ({"attributed_until": NOW - timedelta(hours=3)}, ["warning rollups"]),
        ({"rolled_until": EPOCH}, ["warning rollups"]),
        ({"rolled_until": EPOCH, "has_readings": False}, ["note rollups"]),
    ):
        assert severities(judge_rollups(change(good, **changed), NOW)) == expected, changed


def test_clocks_and_quarantine() -> None:
    none = Refused("bad_json", 5, 500, 5, 0, None, 5, ["cp-1"])
    old = change(none, reason="too_old")
    assert severities(judge_lateness(Lateness(0, 0))) == severities(judge_lateness(Lateness(100, 5))) == []
    assert severities(judge_lateness(Lateness(100, 6))) == ["warning lateness"]
    assert severities(judge_clocks(FLEET, [none])) == []
    assert severities(judge_clocks(FLEET, [old])) == ["warning device clocks"]
    assert severities(judge_clocks(change(FLEET, late=3, worst=["m"]), [])) == ["note device clocks"]
    assert severities(judge_clocks(change(FLEET, ahead=30, worst=["m"]), [])) == ["warning device clocks"]
    for changed, expected in (
        ({}, []),
        ({"kept_octets": 900_000}, ["warning quarantine"]),
        ({"overflowed": 1, "last_overflow": NOW}, ["critical quarantine"]),
        ({"overflowed": 1, "last_overflow": NOW - timedelta(days=3)}, []),
        ({"recent": 100_000}, ["warning quarantine"]),
    ):
        assert severities(judge_quarantine([change(none, **changed)], FLEET, NOW, 1_000_000)) == expected, changed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["critical broker persistence", "critical broker queue"]),
        ("max_queued_messages 0\npersistence true\nautosave_interval 30", ["warning broker queue"]),
        ("max_queued_messages 900000\npersistence true", ["warning broker persistence", "warning broker queue"]),
        ("max_queued_messages 9000000\npersistence true\nautosave_interval 0", ["warning broker persistence"]),
        (
            "max_queued_messages 9000000\npersistence true\nautosave_interval 30\npersistent_client_expiration 2d",
            ["warning broker session"],
        ),
        (
            "max_queued_messages 9000000\nmax_queued_bytes 1000000\npersistence true\nautosave_interval 30",
            ["critical broker queue"],
        ),
    ],
)
def test_broker_configurations(tmp_path: Path, text: str, expected: list[str]) -> None:
    (tmp_path / "mosquitto.conf").write_text(text)
    conf = read_conf(tmp_path / "mosquitto.conf")
    assert severities(judge_conf(conf, 20_000, WEEK, 60)) == expected


def test_the_shipped_broker_survives_what_the_documents_say() -> None:
    conf = read_conf(SHIPPED_CONF)
    assert conf == MosquittoConf(
        2_000_000, 536_870_912, persistence=True, autosave_interval=30, persistent_client_expiration=14 * 86_400,
        max_packet_size=65_280, message_size_limit=65_536,
    )  # fmt: skip
    assert conf.survives(20_000 / 60) == 6000
    assert MosquittoConf().survives(20_000 / 60) == 3
    [queue, *_] = judge_conf(conf, 0, WEEK, 60)
    assert queue.text == "survives 6,000 s (100 min) without a gateway at 20,000 devices (none reports now)"


def test_a_configuration_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "mosquitto.conf").write_text("\nmax_queued_messages many\n")
    with pytest.raises(ConfError, match="line 2: max_queued_messages"):
        read_conf(tmp_path / "mosquitto.conf")


@pytest.mark.parametrize(
    ("told", "severity", "text"),
    [
        ({VERSION_TOPIC: "mosquitto version 2.0.11"}, Severity.OK, "none in the last minute"),
        ({DROPPED_TOPIC: "0"}, Severity.OK, "none since its start"),
        ({DROPPED_TOPIC: "1200"}, Severity.CRITICAL, "1,200 messages were acknowledged and dropped since its start"),
        ({}, Severity.NOTE, "it does not say what it drops"),
    ],
)
def test_what_the_broker_says_of_its_losses(told: dict[str, str], severity: Severity, text: str) -> None:
    facts = BrokerFacts(shared=True, session_expiry=None, max_packet=None, told=told)
    found = [one for one in judge_broker(facts, Settings()) if one.check == "broker losses"]
    assert [(one.severity, one.text) for one in found] == [(severity, text)]
