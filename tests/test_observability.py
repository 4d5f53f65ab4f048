"""Dashboards, rules and docs/metrics.md hold what the services and the schema really have."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import yaml  # type: ignore[import-untyped]

from gateway_harness import Gateway, eventually, http_get, publisher
from gateway_harness import meter as reading
from http_support import TEN, api_on, at, meter, vehicle, write
from joulegate_cli.local.ports import free_port
from joulegate_cli.local.postgres import embedded_bin_dir
from joulegate_core.settings import load_settings
from joulegate_db.charging import Charging
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.rollups import CLOSE_AFTER, EnergyDefaults, Rollups
from joulegate_http.service import run_http
from observability_support import (
    DASHBOARDS,
    FOLDER,
    OF_PROMETHEUS,
    ROOT,
    RULES,
    documented,
    exported,
    panels,
    rules,
    selectors,
    targets,
)

PROMQL = targets("prometheus") + [(rule["alert"], rule["expr"]) for rule in rules()]
SQL = targets("grafana-postgresql-datasource")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SCRAPED = yaml.safe_load((FOLDER / "prometheus/prometheus.yml").read_text())


async def test_every_metric_of_the_gateway_is_documented_and_the_other_way_round(gateway: Gateway) -> None:
    await gateway.start()
    assert exported((await http_get(gateway.metrics_port, "/metrics"))[1]) == documented("Gateway")

    async def rolled() -> bool:
        return (await gateway.metrics())["joulegate_rolled_until_timestamp_seconds"] > 0

    await eventually(rolled)


async def test_every_metric_of_the_sidecar_is_documented_and_the_other_way_round(database_url: str) -> None:
    async with api_on(database_url, now=at(60)) as client:
        await client.get("/healthz")
        assert exported((await client.get("/metrics")).text) == documented("HTTP sidecar")


@pytest.mark.parametrize(("where", "expression"), PROMQL, ids=[where for where, _ in PROMQL])
def test_promql_asks_for_what_there_is(where: str, expression: str) -> None:
    known = {**OF_PROMETHEUS}
    for name, kind, of_it in documented("Gateway") | documented("HTTP sidecar"):
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            known[name + suffix] = set(of_it) | {"job", "instance"} | ({"le"} if suffix == "_bucket" else set())
    asked = list(selectors(expression))
    assert asked
    for name, _ in asked:
        assert name in known, f"{where}: {name} is not exported"
    everything = set().union(*(known[name] for name, _ in asked))
    for name, labels in asked:
        assert labels <= everything, f"{where}: {name} has no {labels - everything}"


def promtool(*arguments: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run(["promtool", *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_its_configuration() -> None:
    promtool("check", "config", "prometheus.yml")


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", "rules_test.yml")
    shown = set(re.findall(r'alertname="(\w+)"', (RULES.parent / "rules_test.yml").read_text()))
    assert shown == {rule["alert"] for rule in rules()}, "every alert has its case"


@pytest.mark.parametrize("where_and_expression", targets("prometheus"), ids=lambda pair: pair[0])
def test_prometheus_parses_the_dashboards(where_and_expression: tuple[str, str], tmp_path: Path) -> None:
    _, expression = where_and_expression
    rule = {"record": "a:b", "expr": expression.replace("$__rate_interval", "5m")}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}))
    promtool("check", "rules", str(tmp_path / "rules.yml"))


def test_every_alert_says_what_to_do() -> None:
    runbook = (ROOT / "docs/observability.md").read_text()
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert f"`{rule['alert']}`" in runbook


def test_the_dashboards_are_well_formed() -> None:
    sources = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/joulegate.yml").read_text())["datasources"]
    known = {source["uid"]: source["type"] for source in sources}
    boards = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == len(boards) >= 4
    for board in boards:
        ids = [panel["id"] for panel in panels(board)]
        assert len(set(ids)) == len(ids)
        for panel in panels(board):
            grid = panel["gridPos"]
            assert grid["x"] + grid["w"] <= 24
            assert panel["title"]
            for target in panel["targets"]:
                assert known[target["datasource"]["uid"]] == target["datasource"]["type"]


def test_the_containers_mount_and_reach_what_the_configuration_names() -> None:
    services = COMPOSE["services"]
    mounts = dict(volume.split(":")[:2] for name in ("grafana", "prometheus") for volume in services[name]["volumes"])
    for source, target in mounts.items():
        assert not source.startswith(".") or (ROOT / source).is_dir(), source
        assert target.startswith("/")
    provider = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/joulegate.yml").read_text())["providers"][0]
    assert mounts["./observability/grafana/dashboards"] == provider["options"]["path"]
    for job in SCRAPED["scrape_configs"]:
        if job["job_name"].startswith("joulegate"):
            [target] = job["static_configs"][0]["targets"]
            name, port = target.split(":")
            assert set(services[name]["networks"]) & set(services["prometheus"]["networks"])
            settings = load_settings({})
            assert int(port) == (settings.metrics_port if name == "gateway" else settings.http_port)


@asynccontextmanager
async def prometheus(folder: Path, targets: dict[str, int]) -> AsyncIterator[httpx.AsyncClient]:
    """A real Prometheus with the shipped rules and jobs, whose targets are `targets`, ports by name, on this machine."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian: apt-get install prometheus)")
    port = free_port()
    text = (
        (FOLDER / "prometheus/prometheus.yml")
        .read_text()
        .replace("15s", "1s")
        .replace("127.0.0.1:9090", f"127.0.0.1:{port}")
    )
    for name, target in targets.items():
        text = re.sub(rf"{name}:\d+", f"127.0.0.1:{target}", text)
    (folder / "prometheus.yml").write_text(text)
    shutil.copy(RULES, folder)
    command = [
        "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

            async def ready() -> bool:  # it listens, and answers 503, before it has read its own files
                with contextlib.suppress(httpx.TransportError):
                    return (await client.get("/-/ready")).status_code == 200
                return False

            await eventually(ready, 60)
            yield client
    finally:
        process.terminate()
        process.wait(20)


async def test_a_real_prometheus_answers_every_expression(gateway: Gateway, database_url: str, tmp_path: Path) -> None:
    await gateway.start()
    http_port = free_port()
    stop = asyncio.Event()
    environ = {"JOULEGATE_DATABASE_URL": database_url, "JOULEGATE_HTTP_PORT": str(http_port)}
    sidecar = asyncio.create_task(run_http(load_settings(environ), stop))
    async with (
        prometheus(tmp_path, {"gateway": gateway.metrics_port, "http": http_port}) as client,
        publisher(gateway.broker) as publish,
    ):

        async def ask(expression: str) -> list[Any]:
            answer = await client.get("/api/v1/query", params={"query": expression.replace("$__rate_interval", "15s")})
            assert answer.status_code == 200, answer.text
            return list(answer.json()["data"]["result"])

        async def scraped() -> bool:
            await publish("fleet/cp-1/meter", reading())
            await http_get(http_port, "/v1/vehicles/v-1")
            up = await ask(
                'sum(up{job=~"joulegate-.*"}) == 2 and sum(rate(joulegate_messages_received_total[15s])) > 0'
            )
            return bool(up and await ask("sum(rate(joulegate_http_requests_total[15s])) > 0"))

        await eventually(scraped, 40)
        for where, expression in PROMQL:
            found = await ask(expression)
            is_alert = where in {rule["alert"] for rule in rules()}
            assert is_alert or found or "> 0" in expression or "ALERTS" in expression or "5.." in expression, (
                f"{where} shows nothing"
            )
        assert await ask("count(ALERTS{alertstate='firing'})") == []
    stop.set()
    await sidecar


@pytest.fixture
async def grafana(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Grafana's own connection, made by the shipped role file, to a database with an hour of readings that are rolled and attributed."""
    await write(database_url, [one for n in range(60) for one in (meter(n, 0.1), vehicle(n, 0.07))])
    connection = await connect(database_url, ROLLER_SETTINGS)
    rollups = Rollups(connection, EnergyDefaults("interval", "interval", 2000, timedelta(days=8)))
    assert await rollups.lock()
    async for _ in rollups.roll(at(60) + CLOSE_AFTER):
        pass
    charging = Charging(connection)
    while await charging.attribute():
        pass
    await charging.refresh()
    connection.terminate()
    psql = [str(embedded_bin_dir() / "psql"), database_url, "--no-psqlrc", "--quiet"]
    given = {**os.environ, "GRAFANA_DATABASE_PASSWORD": "it's \\ secret"}
    for _ in range(2):  # it may be run again
        subprocess.run(
            [*psql, f"--file={FOLDER / 'postgres/grafana_role.sql'}"], env=given, check=True, capture_output=True
        )
    opened = await asyncpg.connect(database_url, user="joulegate_grafana", password="it's \\ secret")
    yield opened
    opened.terminate()


def expanded(statement: str) -> str:
    """What Grafana sends: its macros and variables by their values."""
    since, until = (f"'{time:%FT%TZ}'" for time in (TEN, at(60)))
    text = re.sub(r"\$__timeFilter\(([^)]+)\)", rf"\1 BETWEEN {since} AND {until}", statement)
    text = re.sub(r"\$__timeGroup\((\w+), ?\$__interval\)", r"floor(extract(epoch from \1)/60)*60", text)
    text = text.replace("$__timeFrom()", since).replace("$__timeTo()", until)
    text = text.replace("${vehicle:sqlstring}", "'v-1'")
    assert "$" not in text, "an unknown macro"
    return text


EMPTY = {"Alerts", "Open alerts", "Links", "Quarantine, by reason", "Quarantine, newest", "Worst vehicles over 24 h"}
"""Tables for which an hour of a good fleet has no rows."""


async def test_every_query_of_the_dashboards_is_answered(grafana: asyncpg.Connection) -> None:
    assert len(SQL) >= 25
    for where, statement in SQL:
        rows = await grafana.fetch(expanded(statement))
        title = where.split(": ", 1)[1].removesuffix(" A")
        assert rows or title in EMPTY, f"{where} shows nothing"
        if "as time" in statement:
            assert "time" in rows[0].keys()  # noqa: SIM118 - a record's `in` looks at values
    power = next(statement for where, statement in SQL if where == "fleet: Power A")
    assert [dict(row)["DC, kW"] for row in await grafana.fetch(expanded(power))] == pytest.approx([4.2] * 4)


async def test_grafana_can_only_read_and_not_everything(grafana: asyncpg.Connection) -> None:
    for refused in ("select payload from quarantine", "select * from gateway_subscriptions", "select * from devices"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await grafana.fetch(refused)
    await grafana.execute("set default_transaction_read_only = off")
    for refused in ("delete from alerts", "update roll_state set rolled_until = 'epoch'", "create table public.t ()"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await grafana.execute(refused)
    assert await grafana.fetchval("show statement_timeout") == "15s"


@pytest.mark.parametrize("missing", ["GRAFANA_DATABASE_PASSWORD", "GRAFANA_ADMIN_PASSWORD"])
async def test_an_empty_password_keeps_grafana_from_starting(database_url: str, missing: str) -> None:
    given = {**os.environ, "GRAFANA_DATABASE_PASSWORD": "secret-1", "GRAFANA_ADMIN_PASSWORD": "secret-2", missing: ""}
    psql = [str(embedded_bin_dir() / "psql"), database_url, "--no-psqlrc", "--quiet"]
    script = f"--file={FOLDER / 'postgres/grafana_role.sql'}"
    ended = subprocess.run([*psql, script], env=given, check=False, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "must not be empty: fill .env" in ended.stderr
