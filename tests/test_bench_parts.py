"""The parts of `joulegate bench` that figures rest on: schedules, load, watching, medians, limits."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import asyncpg
import msgspec
import pytest
from typer.testing import CliRunner

from http_support import meter, vehicle, write
from joulegate_cli.bench import visibility
from joulegate_cli.bench.backlog import readings
from joulegate_cli.bench.check import check, show_checked
from joulegate_cli.bench.command import app
from joulegate_cli.bench.http_load import Answers, Load, ask
from joulegate_cli.bench.ingest import require_all
from joulegate_cli.bench.limits import LIMITS, Limit
from joulegate_cli.bench.report import Figure, collect, figures, medians, number, percentile, record, show
from joulegate_cli.bench.schedule import Schedule
from joulegate_core.errors import JoulegateError

NOW = datetime(2026, 5, 1, 10, tzinfo=UTC)


class Result(msgspec.Struct, frozen=True, rename="camel"):
    """A result with a target in each direction."""

    name: str
    the_rate: Annotated[float, Figure("rate, 1/s", least=10)]
    the_delay: Annotated[float, Figure("delay, ms", most=2)]


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = range(100, 0, -1)
    assert [percentile(values, share) for share in (0.5, 0.99, 1)] == [50, 99, 100]
    assert percentile([7], 0.99) == 7
    assert percentile([1, 2], 0.5) == 1


def test_runs_become_medians_and_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [[("case", Result("a", rate, delay))] for rate, delay in ((9, 1), (8, 3), (30, 2))]
    cases = collect(runs)
    assert medians(cases["case"]) == {"the_rate": 9, "the_delay": 2}
    content = msgspec.json.decode(record("bench", cases, {"cores": "2"}))
    assert content["cases"]["case"]["targets"] == {"the_rate": ">= 10", "the_delay": "<= 2"}
    assert [run["theRate"] for run in content["cases"]["case"]["runs"]] == [9, 8, 30]
    show(cases, {"cores": "2"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["rate,", "1/s", "9", "8", "30", ">=", "10", "MISSED"]
    assert lines[2].split() == ["delay,", "ms", "2", "1", "3", "<=", "2", "reached"]


def test_numbers_are_short() -> None:
    assert [number(value) for value in (12345.678, 999.9, 3, 0.012345)] == ["12,346", "1,000", "3", "0.0123"]


def test_a_backlog_has_every_device_once_a_minute() -> None:
    made = [msgspec.json.decode(payload) for _, payload in readings(6, 15, NOW, first_slot=2)]
    devices = [one.get("meterId") or one["vehicleId"] for one in made]
    assert devices[:6] == ["m-000001", "v-000001", "m-000002", "v-000002", "m-000003", "v-000003"]
    assert devices == (devices[:6] * 3)[:15]
    assert len({(device, one["timestamp"]) for device, one in zip(devices, made, strict=True)}) == 15


def test_a_schedule_knows_what_is_due() -> None:
    schedule = Schedule("mqtt://127.0.0.1:1", start=100.0, rate=4, devices=6, count=10)
    assert [schedule.due_before(now) for now in (99.0, 100.0, 100.5, 1000.0)] == [0, 0, 2, 10]
    assert [schedule.due(index) for index in (0, 1, 8)] == [100_000, 100_250, 102_000]
    topic, payload = schedule.message(7)
    assert (topic, msgspec.json.decode(payload)["timestamp"]) == ("fleet/cp-000000/vehicle", 101_750)


@asynccontextmanager
async def slow_server(delay: float, status: str = "200 OK") -> AsyncIterator[int]:
    """Answers every request after `delay` seconds; gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(delay)
            writer.write(f"HTTP/1.1 {status}\r\ncontent-type: t\r\nContent-Length: 3\r\n\r\nabc".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def load(delay: float, status: str = "200 OK", **changes: float) -> Answers:
    """Two clients for half a second."""
    async with slow_server(delay, status) as port:
        load = Load(port=port, clients=2, seconds=0.5, path="/%06d", devices=3, warm_seconds=0.1)
        return await ask(msgspec.structs.replace(load, **changes))


async def test_a_client_asks_again_when_it_has_its_answer() -> None:
    answers = await load(0.02)
    assert 20 <= answers.p50 <= answers.p99
    assert 0 < answers.requests <= 50
    assert answers.requests < answers.asked
    assert answers.per_second == pytest.approx(answers.requests / 0.5)
    assert answers.failures == 0


async def test_a_server_that_falls_behind_cannot_hide_it() -> None:
    """Forty requests a second are due, twenty can be answered: the delays grow."""
    answers = await load(0.1, rate=40)
    assert answers.p99 > 200


async def test_refused_answers_are_counted() -> None:
    answers = await load(0.01, "503 Service Unavailable")
    assert answers.failures == answers.requests > 0


async def test_the_delay_is_from_due_to_visible(database_url: str) -> None:
    schedule = Schedule("", start=time.time(), rate=1000, devices=2, count=2)
    watching = asyncio.create_task(visibility.watch(database_url, schedule, lambda _: None))
    await asyncio.sleep(0.5)
    connection = await asyncpg.connect(database_url)
    for table, columns, values in (
        ("meter_live", "voltage", "230"),
        ("vehicle_live", "battery_temp, soc", "25, 50"),
    ):
        assert not watching.done()
        await connection.execute(
            f"insert into {table} (ts, received_at, kwh, charging, device, charge_point, {columns})"
            f" values (now(), now(), 1, true, $1, 'cp', {values})",
            f"{table[0]}-000000",
        )
    delays = await asyncio.wait_for(watching, 20)
    await connection.close()
    assert len(delays) == 1  # one in eleven is looked at
    assert delays[0] >= 500


async def test_a_reading_that_never_comes_ends_the_watch(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "GIVE_UP_SECONDS", 0.2)
    await write(database_url, [meter(0, 1.0, "m-000000"), vehicle(0, 1.0, "v-000000")])  # older than what is due
    schedule = Schedule("", start=time.time(), rate=10, devices=2, count=2)
    with pytest.raises(JoulegateError, match="cannot be seen"):
        await asyncio.wait_for(visibility.watch(database_url, schedule, lambda _: None), 20)


def test_every_limit_names_a_figure_and_one_side() -> None:
    for kind, limits in LIMITS.items():
        for limit in limits:
            assert limit.figure in figures(kind)
            assert (limit.least is None) != (limit.most is None)


def test_a_broken_limit_is_shown_with_its_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = (Limit("the_rate", "because", least=10), Limit("the_delay", "so", most=2))
    monkeypatch.setattr("joulegate_cli.bench.limits.LIMITS", {Result: limits})
    assert show_checked(check([("good", Result("a", 10, 1))]))
    assert capsys.readouterr().out.endswith("all 2 limits are kept\n")
    assert not show_checked(check([("bad", Result("a", 9.5, 3))]))
    out = capsys.readouterr().out.splitlines()
    assert out[1].split() == ["bad", "rate,", "1/s", "9.5", ">=", "10", "BROKEN", "because"]
    assert out[2].split() == ["bad", "delay,", "ms", "3", "<=", "2", "BROKEN", "so"]
    assert out[-1] == "2 of 2 limits are broken"


@pytest.mark.parametrize(("rate", "code"), [(10, 0), (9, 1)])
def test_the_check_fails_when_a_limit_is_broken(rate: float, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joulegate_cli.bench.limits.LIMITS", {Result: (Limit("the_rate", "because", least=10),)})
    monkeypatch.setattr("joulegate_cli.bench.check.small_runs", lambda _progress: [("case", Result("a", rate, 2))])
    assert CliRunner().invoke(app, ["check"]).exit_code == code


@pytest.mark.parametrize("committed", [9, 11])
def test_a_bench_that_lost_or_doubled_a_reading_fails(committed: int) -> None:
    with pytest.raises(JoulegateError, match="this is a bug"):
        require_all(committed, 10)
