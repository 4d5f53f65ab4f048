"""Least privilege: each group role can do its work and nothing else, wherever a table or a partition comes from."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from structlog.testing import capture_logs

from command_support import done, joulegate
from gateway_harness import Gateway, eventually, publisher
from gateway_harness import meter as message
from http_service_support import sidecar
from http_support import at, meter, vehicle, write
from joulegate_cli.doctor.database import judge_logins
from joulegate_cli.doctor.finding import Severity
from joulegate_cli.local.postgres import LocalPostgres, embedded_bin_dir
from joulegate_core.clock import utc_now
from joulegate_db import checkup
from joulegate_db.checkup import CHECKUP_SETTINGS
from joulegate_db.connect import MIGRATION_SETTINGS, WRITER_SETTINGS, connect, unavailable
from joulegate_db.migrate import migrate
from joulegate_db.partitions import ensure_partitions
from roles_support import Logins, logins

ROOT = Path(__file__).parent.parent
LOGINS_SQL = ROOT / "db/postgres/logins.sql"

READER, WRITER, OPERATOR = "joulegate_reader", "joulegate_writer", "joulegate_operator"
CHANGES = ("insert", "update", "delete", "truncate", "references", "trigger")
LATER = datetime(2032, 3, 5, tzinfo=UTC)
"""Far from the partitions that the template has."""

RELATIONS = """
select class.oid, class.relname as name, class.relkind::text, class.relowner
from pg_class as class
where class.relnamespace = 'public'::regnamespace and class.relkind in ('r', 'p', 'S', 'v', 'm', 'f')
"""


@pytest.fixture
async def login(database_url: str) -> AsyncIterator[Logins]:
    """Makes logins."""
    async with logins(database_url) as make:
        yield make


async def rights(db: asyncpg.Connection, role: str) -> dict[str, set[str]]:
    """What the role may do with each table and partition."""
    held: dict[str, set[str]] = {}
    for row in await db.fetch(RELATIONS):
        if row["relkind"] == "S":
            continue
        held[row["name"]] = {
            what
            for what in ("select", *CHANGES)
            if await db.fetchval("select has_table_privilege($1, $2::oid, $3)", role, row["oid"], what)
        }
    return held


async def test_the_reader_reads_every_table_but_the_sessions_names_and_changes_none(db: asyncpg.Connection) -> None:
    await ensure_partitions(db, LATER, max_age_days=7)
    held = await rights(db, READER)
    assert len(held) > 70, "the partitions are among them"
    assert {name for name, what in held.items() if what != {"select"}} == {"gateway_subscriptions"}
    assert held["gateway_subscriptions"] == set()
    for sequence in [row["oid"] for row in await db.fetch(RELATIONS) if row["relkind"] == "S"]:
        assert not await db.fetchval("select has_sequence_privilege($1, $2::oid, 'usage, update')", READER, sequence)


async def test_history_is_append_only_and_nobody_truncates(db: asyncpg.Connection) -> None:
    await ensure_partitions(db, LATER, max_age_days=7)
    for role in (WRITER, OPERATOR):
        held = await rights(db, role)
        for name, what in held.items():
            assert not what & {"truncate", "references", "trigger"}, name
            assert role == OPERATOR or what, f"queries/roles_grant.sql says nothing of {name}"
            if "_history" in name:
                assert what == {"select", "insert"}, name
        changed = {name for name, what in held.items() if what & {"update", "delete"}}
        if role == OPERATOR:
            assert changed == {
                "meter_live", "vehicle_live", "devices", "links", "quarantine", "quarantine_totals", "register_baselines",
                "bindings", "bindings_version",
            }  # fmt: skip
    owner = await db.fetchval("select 'joulegate'::regrole::oid")
    assert {row["relowner"] for row in await db.fetch(RELATIONS)} == {owner}, "also of what a writer's call has made"


WRITES = (
    "insert into links (valid, vehicle, meter) values ('[2026-01-01,)', 'v', 'm')",
    "delete from quarantine",
    "update roll_state set closed_until = 'epoch'",
    "truncate meter_live",
    "select ensure_partitions('2032-01-01', '2032-01-02')",
    "select ensure_partition('meter_history', '20320101', '2032-01-01', '2032-01-02')",
    "create table public.mine (x integer)",
    "select * from gateway_subscriptions",
    "begin; lock table meter_history in access exclusive mode",
)
DESTROYS = (
    "drop table meter_history",
    "alter table meter_history add column x integer",
    "alter table quarantine disable trigger all",
    "truncate vehicle_history",
    "delete from meter_history",
    "update vehicle_history set kwh = 0",
    "drop table alerts",
    "create index on meter_live (ts)",
    "drop function ensure_partitions",
    "create table public.mine (x integer)",
    "select ensure_partition('meter_history', '20320101', '2032-01-01', '2032-01-02')",
    "update links set vehicle = 'v'",
    "insert into schema_migrations (version, name, checksum) values (99, 'x', 'x')",
)


async def test_what_the_database_refuses(login: Logins, db: asyncpg.Connection) -> None:
    partition = await db.fetchval("select max(relname) from pg_class where relname like 'meter_history_20______'")
    of_partition = (
        f"drop table {partition}",
        f"alter table meter_history detach partition {partition}",
        f"delete from {partition}",
        f"truncate {partition}",
    )
    for role, statements in ((READER, WRITES), (WRITER, DESTROYS + of_partition), (OPERATOR, DESTROYS[:-2])):
        connection = await asyncpg.connect(await login(role))
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
                await connection.execute(statement)
            await connection.execute("rollback")
        assert "docs/roles.md" in str(unavailable(refused.value)), "the services say where to look"
        await connection.close()


async def test_a_writer_makes_partitions_that_are_the_owners_and_keep_the_rights(
    login: Logins, db: asyncpg.Connection
) -> None:
    writer = await connect(await login(WRITER), MIGRATION_SETTINGS)
    assert await ensure_partitions(writer, LATER, max_age_days=1) == 2 * 5 + 4 * 1
    await writer.close()
    await db.execute("create role outsider nologin")
    try:
        assert await db.fetch(
            "select 1 from pg_class where relname like 'meter_history_2032%' and relowner = 'joulegate'::regrole"
        )
        for role in (READER, WRITER, OPERATOR):
            held = await rights(db, role)
            assert held["meter_rollup_15m_203203"] == held["meter_rollup_15m"]
            assert held["vehicle_history_20320305"] == held["vehicle_history"]
        assert not any((await rights(db, "outsider")).values())
    finally:
        await db.execute("drop role outsider")


async def test_a_function_in_public_does_not_run_with_the_owners_rights(login: Logins, db: asyncpg.Connection) -> None:
    """Clusters made before 15 let everybody create there; a better match than the system's own function must not be taken."""
    await db.execute("grant create on schema public to joulegate_writer")
    try:
        writer = await connect(await login(WRITER), MIGRATION_SETTINGS)
        for signature in ("date_trunc(text, date)", "to_char(date, text)", "to_regclass(text)"):
            await writer.execute(
                f"create function public.{signature} returns text language plpgsql as "
                "$$begin raise exception 'ran as %', current_user using errcode = 'P0001'; end$$"
            )
        await writer.execute("create temporary table pg_inherits (x integer)")
        assert await ensure_partitions(writer, LATER, max_age_days=1) > 0
        await writer.close()
    finally:
        await db.execute("revoke create on schema public from joulegate_writer")


async def test_nobody_fills_the_catalog(login: Logins) -> None:
    writer = await connect(await login(WRITER), MIGRATION_SETTINGS)
    with pytest.raises(asyncpg.ProgramLimitExceededError, match=r"more than 3,700 days"):
        await writer.execute("select ensure_partitions('2000-01-01', '2032-01-01')")
    await writer.close()


async def test_rights_that_strayed_are_put_right_and_a_second_run_changes_nothing(db: asyncpg.Connection) -> None:
    rows = "select relname, relacl::text, xmin from pg_class where relnamespace = 'public'::regnamespace order by 1"
    before = await db.fetch(rows)
    await migrate(db)
    assert await db.fetch(rows) == before, "not even a row of the catalog was written anew"
    await db.execute("grant delete on meter_history to joulegate_writer; revoke select on alerts from joulegate_reader")
    await db.execute("revoke execute on function ensure_partitions from joulegate_writer")
    await migrate(db)
    assert "delete" not in (await rights(db, WRITER))["meter_history"]
    assert "select" in (await rights(db, READER))["alerts"]
    assert await db.fetchval(
        "select has_function_privilege('joulegate_writer', 'ensure_partitions(date, date)', 'execute')"
    )


FAILURES = {"roll_interrupted", "beat_missed", "partitions_not_checked", "database_unavailable", "bell_not_heard"}


async def test_gateway_and_sidecar_do_all_their_work_with_such_logins(
    gateway: Gateway, database_url: str, login: Logins, db: asyncpg.Connection
) -> None:
    writer, reader, operator = [await login(role) for role in (WRITER, READER, OPERATOR)]
    tomorrow = f"meter_history_{utc_now() + timedelta(days=1):%Y%m%d}"
    await db.execute(f"drop table {tomorrow}")
    first = (utc_now() - at(0)) // timedelta(
        minutes=1
    ) - 180  # three hours ago: within the 24 h that alerts are judged on
    await write(writer, [one for n in range(first, first + 60) for one in (meter(n, 0.1), vehicle(n, 0.02))])
    with capture_logs() as logs:
        await gateway.start(database_url=writer, alert_min_coverage=0.01)
        async with sidecar(operator, now=utc_now(), JOULEGATE_READ_DATABASE_URL=reader) as client:

            async def judged() -> bool:  # rolled, attributed, and its alerts opened
                return bool((await client.get("/v1/alerts")).json()["alerts"])

            await eventually(judged)
            async with publisher(gateway.broker) as publish:
                await publish("fleet/cp-9/meter", message("m-9"))
                await publish("fleet/cp-9/meter", b"not JSON")
                await publish("fleet/cp-9/meter", message("m-8", kwhConsumedAc=5e8))
            await gateway.settle(3)
            await does_its_work(client, db, first)
        await gateway.stop()
        await gateway.start(database_url=writer, ready=False)
        await gateway.stop()
    assert await db.fetchval("select to_regclass($1) is not null", tomorrow), "made by the writer's call"
    assert await db.fetchval("select count(*) from gateway_beats") == 1
    assert not [one for one in logs if one["event"] in FAILURES]
    database = await db.fetchval("select current_database()")
    vacuumed = "select max(vacuum_count) from pg_stat_all_tables where relname like 'vehicle_rollup_15m_%'"
    if await db.fetchval("select current_setting('server_version_num')::integer >= 170000"):
        assert await db.fetchval(vacuumed) > 0, database
    commands(operator, database_url)


async def does_its_work(client: httpx.AsyncClient, db: asyncpg.Connection, first: float) -> None:
    """Reads and changes what the sidecar can."""
    answer = (
        await client.get(f"/v1/analytics/performance/v-1?from={at(first):%FT%TZ}&to={at(first + 60):%FT%TZ}")
    ).json()
    assert answer["totalKwhConsumedAc"] == pytest.approx(6.0)
    for path in ("/v1/analytics/fleet", "/v1/meters", "/v1/vehicles/v-1", "/v1/gateways", "/v1/links", "/readyz"):
        assert (await client.get(path)).status_code == 200, path
    body = {"vehicleId": "v-1", "meterId": "m-1", "validFrom": f"{at(0):%FT%TZ}"}
    put = await client.put("/v1/links", json=body)
    assert put.status_code == 201, put.text
    assert (await client.delete(put.headers["Location"])).status_code == 204
    [refused] = (await client.get("/v1/quarantine")).json()["items"]
    await db.execute("update quarantine set payload = $1", json.dumps(message("m-7", ts=at(5))).encode())
    replayed = await client.post(f"/v1/quarantine/{refused['id']}/replay")
    assert replayed.json()["outcome"] == "committed", replayed.text


def commands(operator: str, owner: str) -> None:
    """The commands that change what people declare run as the operator; who lacks the right is told where to look."""
    assert "1" in done(operator, "devices", "set", "m-1", "--kind", "meter", "--energy", "register")
    done(operator, "rollup", "status")
    refused = joulegate(operator, "archive", "--older-than", "30d", "--to", "/nonexistent")
    assert refused.returncode == 1
    assert "needs the owner's login" in refused.stderr
    refused = joulegate(operator, "migrate")
    assert refused.returncode == 1
    assert "docs/roles.md" in refused.stderr
    assert "schema is current" in done(owner, "migrate")


LOGINS = {
    "DATABASE_GATEWAY_PASSWORD": "it's \\ one",
    "DATABASE_OPERATOR_PASSWORD": "two",
    "DATABASE_READER_PASSWORD": "three",
}


def psql(url: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs the shipped script."""
    command = [str(embedded_bin_dir() / "psql"), url, "--no-psqlrc", "--quiet", f"--file={LOGINS_SQL}"]
    return subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[tuple[LocalPostgres, asyncpg.Connection]]:
    """A cluster without roles, and its administrator's connection."""
    server = LocalPostgres(tmp_path / "pg", options={"fsync": "off"}).start()
    administrator = await asyncpg.connect(server.url())
    yield server, administrator
    await administrator.close()
    server.stop("immediate")


async def test_who_may_not_create_roles_migrates_all_the_same(
    fresh: tuple[LocalPostgres, asyncpg.Connection],
) -> None:
    server, administrator = fresh
    await administrator.execute("create role plain login")
    await administrator.execute("create database one owner plain")
    url = server.url("one").replace("//joulegate@", "//plain@")
    said = done(url, "migrate")
    assert "schema is current" in said
    statements = re.findall(r"create role \w+ nologin;", said)
    assert len(statements) == 3, said
    await write(url, [meter(0, 1.0)])  # one login does everything, as ever
    for statement in statements:
        await administrator.execute(statement)
    assert "note" not in done(url, "migrate")
    connection = await asyncpg.connect(url)
    assert (await rights(connection, WRITER))["meter_history"] == {"select", "insert"}
    await connection.close()


async def test_databases_that_migrate_at_the_same_time_make_the_roles_once_and_the_logins_work(
    fresh: tuple[LocalPostgres, asyncpg.Connection],
) -> None:
    server, administrator = fresh
    names = [f"many_{n}" for n in range(4)]
    for name in names:
        await administrator.execute(f"create database {name}")
    connections = [await connect(server.url(name), MIGRATION_SETTINGS) for name in names]
    async with asyncio.timeout(60):
        await asyncio.gather(*(migrate(connection) for connection in connections))
    for connection in connections:
        assert (await rights(connection, READER))["alerts"] == {"select"}
        await connection.close()
    missing = psql(server.url("many_0"), **LOGINS | {"DATABASE_READER_PASSWORD": ""})
    assert missing.returncode != 0
    assert "must not be empty: fill .env" in missing.stderr
    for _ in range(2):  # it may be run again
        ran = psql(server.url("many_0"), **LOGINS)
        assert (ran.returncode, ran.stderr) == (0, "")
    found = await administrator.fetch(
        "select member::regrole::text, roleid::regrole::text from pg_auth_members where member::regrole::text like '%_login' order by 1"
    )
    assert [tuple(row) for row in found] == [
        ("joulegate_gateway_login", WRITER),
        ("joulegate_operator_login", OPERATOR),
        ("joulegate_reader_login", READER),
    ]
    hashes = await administrator.fetch("select rolpassword from pg_authid where rolname like '%_login'")
    assert all(row["rolpassword"].startswith("SCRAM-SHA-256$") for row in hashes)


async def test_an_owner_who_may_create_roles_and_nothing_else_makes_the_logins(
    fresh: tuple[LocalPostgres, asyncpg.Connection],
) -> None:
    server, administrator = fresh
    await administrator.execute("create role owner login createrole")
    await administrator.execute("create database one owner owner")
    url = server.url("one").replace("//joulegate@", "//owner@")
    assert "note" not in done(url, "migrate")
    for _ in range(2):
        ran = psql(url, **LOGINS)
        assert (ran.returncode, ran.stderr) == (0, "")
    await administrator.execute("alter role joulegate_reader_login createdb")
    refused = psql(url, **LOGINS)
    assert refused.returncode != 0
    assert "one of the logins may create roles or databases" in refused.stderr


def test_compose_gives_each_service_the_login_of_its_part() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    users = {
        (name, key): re.match(r"postgresql://(\w+):\$\{(\w+)", value).groups()  # type: ignore[union-attr]
        for name, service in services.items()
        for key, value in service.get("environment", {}).items()
        if key.endswith("DATABASE_URL")
    }
    assert users == {
        ("migrate", "JOULEGATE_DATABASE_URL"): ("joulegate", "POSTGRES_PASSWORD"),
        ("gateway", "JOULEGATE_DATABASE_URL"): ("joulegate_gateway_login", "DATABASE_GATEWAY_PASSWORD"),
        ("http", "JOULEGATE_DATABASE_URL"): ("joulegate_operator_login", "DATABASE_OPERATOR_PASSWORD"),
        ("http", "JOULEGATE_READ_DATABASE_URL"): ("joulegate_reader_login", "DATABASE_READER_PASSWORD"),
    }
    script = LOGINS_SQL.read_text()
    assert all(login in script and password in script for login, password in list(users.values())[1:])


async def test_doctor_notes_a_service_with_too_many_rights(login: Logins, db: asyncpg.Connection) -> None:
    strong = judge_logins(await checkup.logins(db))
    assert (strong.severity, strong.text) == (Severity.OK, "no service is connected")
    gateway = await connect(await login(WRITER), WRITER_SETTINGS)
    assert judge_logins(await checkup.logins(db)).severity is Severity.OK
    asked = await connect(await login(READER), CHECKUP_SETTINGS)
    await db.execute("set application_name = 'joulegate-http'")
    noted = judge_logins(await checkup.logins(asked))
    assert noted.severity is Severity.NOTE
    assert not noted.needs_action
    assert noted.text.startswith("joulegate-http as joulegate (a superuser)")
    assert "docs/roles.md" in noted.action
    for connection in (gateway, asked):
        await connection.close()
