"""The stream: what changes comes to every client once, over late commits, lost connections and outages, and slow clients cost nobody."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from fleet_support import plant
from gateway_harness import Gateway, eventually, publisher
from gateway_harness import meter as meter_message
from http_service_support import sidecar
from http_support import Json, Reading, at, meter, vehicle, write
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core import http_connection
from joulegate_core.clock import utc_now
from joulegate_core.settings import load_settings
from joulegate_core.telemetry import Message, Stream
from joulegate_db import changes
from joulegate_db.beats import Beat, BeatRecord
from joulegate_db.changes import Cursor, Now, Wanted
from joulegate_db.connect import MIGRATION_SETTINGS, connect
from joulegate_db.migrate import migrate
from joulegate_db.partitions import ensure_partitions
from joulegate_db.reader import open_reader
from joulegate_db.writer import Writer
from joulegate_gateway.service import run_gateway
from joulegate_http import stream_client, stream_hub
from joulegate_http.metrics import Metrics
from joulegate_http.stream_client import Kind, StreamClient
from joulegate_http.stream_events import News
from openapi_support import Contract

NOW = at(60)

SET_SOC = "update vehicle_live set (soc, written) = row(77, $1::xid8) where device = 'v-late'"


class Events:
    """The events of one stream, as they come."""

    def __init__(self, response: httpx.Response) -> None:
        self._blocks = self._read(response)
        self.last_id = ""
        self.comments = 0

    async def next(self, *names: str) -> tuple[str, Json]:
        """The next event of these names; others are passed over."""
        async with asyncio.timeout(20):
            async for block in self._blocks:
                fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
                self.comments += block.startswith(":")
                self.last_id = fields.get("id", self.last_id)
                if fields.get("event") in names:
                    return fields["event"], json.loads(fields["data"])
        raise EOFError

    async def until(self, name: str, key: str, wanted: set[str]) -> list[Json]:
        """Gathers the items of such events until all the wanted ids have come."""
        found: list[Json] = []
        while not wanted <= {one[key] for one in found}:
            found += (await self.next(name))[1][name]
        return found

    @staticmethod
    async def _read(response: httpx.Response) -> AsyncIterator[str]:
        text = ""
        async for chunk in response.aiter_text():
            text += chunk
            *blocks, text = text.split("\n\n")
            for block in blocks:
                yield block


@asynccontextmanager
async def stream(client: httpx.AsyncClient, last_id: str = "", **query: str) -> AsyncIterator[Events]:
    """A stream that has been greeted; `hello` is its first event."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with client.stream("GET", "/v1/stream", params=query, headers=headers, timeout=30) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        events = Events(response)
        _, greeting = await events.next("hello")
        assert greeting["resumed"] is bool(last_id)
        yield events


async def test_changes_come_to_all_clients_as_the_lists_have_them(database_url: str) -> None:
    await write(database_url, [vehicle(50, 1.0, "v-0"), meter(50, 1.0, "m-0")])
    async with sidecar(database_url, now=NOW) as client:
        contract = await Contract.of(client)
        async with stream(client) as one, stream(client, kinds="meters,vehicles", vehicleId="v-2") as other:
            await write(database_url, [vehicle(59, 1.0, "v-1"), vehicle(59, 1.0, "v-2"), meter(59, 1.0, "m-1")])
            for name in ("fleet", "gateways"):
                _, answer = await one.next(name)
                contract._validate({"$ref": f"#/components/schemas/{name.capitalize()}"}, answer)
            changed = await one.until("vehicles", "vehicleId", {"v-1", "v-2"})
            assert changed == [(await client.get(f"/v1/vehicles/v-{number}")).json() for number in (1, 2)]
            assert [found["vehicleId"] for found in await other.until("vehicles", "vehicleId", {"v-2"})] == ["v-2"]
        async with stream(client, kinds="meters") as one:
            await write(database_url, [meter(60, 1.0, "m-1")])
            [only] = await one.until("meters", "meterId", {"m-1"})
            assert only == (await client.get("/v1/meters/m-1")).json()


async def test_what_commits_late_is_not_missed_and_nothing_comes_twice(
    database_url: str, db: asyncpg.Connection
) -> None:
    """A transaction that began before others and ends after many looks: its row is older than the cursor of then."""
    await write(database_url, [vehicle(1, 1.0, "v-late"), vehicle(1, 1.0, "v-1")])
    async with sidecar(database_url, now=NOW) as client, stream(client, kinds="vehicles") as events:
        async with db.transaction():
            await db.execute(SET_SOC, await db.fetchval("select pg_current_xact_id()"))
            for minute in (2, 3, 4):
                await write(database_url, [vehicle(minute, 1.0, "v-1")])
                [one] = (await events.next("vehicles"))[1]["vehicles"]
                assert one["timestamp"] == at(minute).isoformat().replace("+00:00", "Z")
        [late] = (await events.next("vehicles"))[1]["vehicles"]
        assert (late["vehicleId"], late["soc"]) == ("v-late", 77)


async def test_a_client_that_comes_again_gets_what_it_missed(database_url: str) -> None:
    await write(database_url, [vehicle(1, 1.0, "v-0")])
    async with sidecar(database_url, now=NOW) as client:
        async with stream(client, kinds="vehicles,meters,alerts") as events:
            await write(database_url, [vehicle(1, 1.0, "v-1")])
            await events.until("vehicles", "vehicleId", {"v-1"})
            last = events.last_id
        await write(database_url, [vehicle(2, 1.0, "v-2"), meter(2, 1.0, "m-2")])
        async with stream(client, last, kinds="vehicles,meters,alerts") as events:
            assert [one["vehicleId"] for one in (await events.next("vehicles"))[1]["vehicles"]] == ["v-2"]
            await events.until("meters", "meterId", {"m-2"})
        transaction, seconds, database = last.split("-")
        elsewhere = f"{transaction}-{seconds}-{int(database, 16) ^ 1:08x}"
        for strange in ("0-0", f"0-0-{database}", f"999999999999-4102444800-{database}", elsewhere, "x"):
            assert await begins_anew(client, strange), strange


async def begins_anew(client: httpx.AsyncClient, last_id: str) -> bool:
    """Whether who comes again with this cursor is told to read the lists."""
    async with client.stream("GET", "/v1/stream", headers={"Last-Event-ID": last_id}) as response:
        return (await Events(response).next("hello"))[1]["resumed"] is False


async def test_numbers_of_another_database_are_no_changes(database_url: str, db: asyncpg.Connection) -> None:
    """A dump keeps the numbers of the server that it was taken from, which may be ahead of the one that it is restored to."""
    await write(database_url, [vehicle(1, 1.0, "v-1"), vehicle(1, 1.0, "v-2"), meter(1, 1.0, "m-1")])
    since = (await changes.now(db)).cursor
    for table in ("vehicle_live", "meter_live"):
        await db.execute(f"update {table} set written = '99999999999'")
    wanted = Wanted(vehicles=True, meters=True, alerts=True)
    async with open_reader(database_url) as reader:
        found = await changes.changes(reader, [since], wanted, NOW)
        assert (found.vehicles, found.meters) == ([], [])
        await write(database_url, [vehicle(2, 1.0, "v-2")])
        found = await changes.changes(reader, [since], wanted, NOW)
        assert [change.item.device for change in found.vehicles] == ["v-2"]


async def test_after_a_restore_clients_begin_anew(postgres_server: LocalPostgres, database_url: str) -> None:
    """The same name, rows and numbers, and another database: what was given since its moment is not in it."""
    await write(database_url, [vehicle(1, 1.0, "v-1")])
    name = urlsplit(database_url).path[1:]
    maintenance = await asyncpg.connect(postgres_server.url())
    async with sidecar(database_url, now=NOW) as client:
        async with stream(client, kinds="vehicles") as events:
            await write(database_url, [vehicle(2, 1.0, "v-1")])
            await events.until("vehicles", "vehicleId", {"v-1"})
            await maintenance.execute(f"alter database {name} allow_connections false")
            await maintenance.fetch("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
            await maintenance.execute(f"create database {name}_restored template {name}")
            await maintenance.execute(f"alter database {name} rename to {name}_lost")
            await maintenance.execute(f"alter database {name}_restored rename to {name}")
            await maintenance.execute(f"drop database {name}_lost")
            with pytest.raises(EOFError):
                await events.next("vehicles")
        assert await begins_anew(client, events.last_id)
    await maintenance.close()


async def test_alerts_come_when_they_open_and_when_they_close(database_url: str) -> None:
    pairs: list[Reading] = [
        reading for minute in range(-60, 0) for reading in (meter(minute, 0.2), vehicle(minute, 0.1))
    ]
    async with (
        plant(database_url) as one,
        sidecar(database_url, now=at(0)) as client,
        stream(client, kinds="alerts") as events,
    ):
        await one.write(*pairs, received=utc_now())
        await one.settle(0)
        await one.evaluate(utc_now())
        _, changed = await events.next("alerts")
        assert changed == {"opened": (await client.get("/v1/alerts")).json()["alerts"], "closed": []}
        await one.connection.execute("update charging_24h set judged_dc = judged_ac * 0.95")
        await one.evaluate(utc_now())
        _, changed = await events.next("alerts")
        assert changed["opened"] == []
        assert [alert["device"] for alert in changed["closed"]] == ["v-1"]


async def test_an_outage_is_told_and_nothing_is_missed(tmp_path: Path) -> None:
    server = LocalPostgres(tmp_path / "pg")
    server.start()
    try:
        connection = await connect(server.url(), MIGRATION_SETTINGS)
        await migrate(connection)
        await ensure_partitions(connection, utc_now(), max_age_days=7)
        await connection.close()
        async with sidecar(server.url(), now=NOW) as client, stream(client) as events:
            server.stop("immediate")
            assert (await events.next("database"))[1] == {"state": "down"}
            server.start()
            await write(server.url(), [vehicle(1, 1.0, "v-1")])
            assert (await events.next("database"))[1] == {"state": "up"}
            await events.until("vehicles", "vehicleId", {"v-1"})
    finally:
        server.stop("immediate")


@pytest.mark.slow
async def test_slow_clients_are_let_go_and_too_many_are_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_hub, "MOST_CLIENTS", 2)
    monkeypatch.setattr(stream_client, "MOST_WAITING_BYTES", 1000)
    monkeypatch.setattr(http_connection, "TAKE_SECONDS", 15.0)
    await write(database_url, [vehicle(0, 1.0, "v-0")])
    fleet = [f"v-{number:040}" for number in range(20_000)]
    async with sidecar(database_url, now=NOW) as client, stream(client, kinds="vehicles") as good:
        port = client.base_url.port
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"GET /v1/stream?kinds=vehicles HTTP/1.1\r\nHost: x\r\n\r\n")

        async def clients() -> float:
            lines = (await client.get("/metrics")).text.splitlines()
            return {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith("#")}[
                "joulegate_http_stream_clients"
            ]

        async def both() -> bool:
            return await clients() == 2

        async def only_the_good() -> bool:
            return await clients() == 1

        await eventually(both)
        refused = await client.get("/v1/stream")
        assert (refused.status_code, refused.json()["code"]) == (503, "stream_full")
        assert refused.headers["retry-after"] == "30"
        taking = asyncio.create_task(good.until("vehicles", "vehicleId", {"v-end"}))

        async def is_lost() -> bool:
            return "joulegate_http_stream_dropped_total 1.0" in (await client.get("/metrics")).text

        for minute in range(1, 6):  # more than the buffers of both ends hold, and then once more
            await write(database_url, [vehicle(minute, 1.0, name) for name in fleet])
            await asyncio.sleep(1.5)
        await write(database_url, [vehicle(9, 1.0, "v-end")])
        await taking
        await eventually(only_the_good, 30)
        assert await is_lost()
        slow.close()


async def test_looks_are_few_whatever_the_clients(
    database_url: str, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One listener and one look for all; none when nobody is there."""
    looks = 0
    real = changes.changes

    async def counted(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        return await real(*arguments)

    monkeypatch.setattr(stream_hub, "changes", counted)
    listening = "select count(*) from pg_stat_activity where application_name = 'joulegate-listen'"

    async def listeners(wanted: int) -> bool:
        return bool(await db.fetchval(f"{listening} and datname = current_database()") == wanted)

    async with sidecar(database_url, now=NOW) as client:
        assert looks == 0
        async with stream(client), stream(client), stream(client):
            await eventually(lambda: listeners(1))
            await asyncio.sleep(1.5)
            before = looks
            for _ in range(50):
                await db.execute("select pg_notify('joulegate_live', '')")
                await asyncio.sleep(0.04)
            assert looks - before <= 4
        await eventually(lambda: listeners(0))
        before = looks
        await asyncio.sleep(1.5)
        assert looks == before


async def test_a_gateway_rings_beats_and_is_gone_when_it_has_left(
    gateway: Gateway, database_url: str, db: asyncpg.Connection
) -> None:
    if gateway.broker.kind != "mosquitto":
        pytest.skip("the built-in broker has no sessions to leave")
    await gateway.start()
    async with sidecar(database_url) as client:
        async with stream(client, kinds="meters,gateways") as events, publisher(gateway.broker) as publish:
            await publish("fleet/cp-1/meter", meter_message("m-1"))
            await events.until("meters", "meterId", {"m-1"})
            [one] = (await client.get("/v1/gateways")).json()["gateways"]
            assert one["alive"] is True
            assert gateway.client_id not in json.dumps(one)

            async def has_counted() -> bool:
                [found] = (await client.get("/v1/gateways")).json()["gateways"]
                return bool(found["received"] == found["committed"] == 1 and found["pending"] == 0)

            await eventually(has_counted, 15)
        await gateway.stop()
        await run_gateway(load_settings(gateway.environ()), asyncio.Event(), leave=True)
        assert (await client.get("/v1/gateways")).json() == {"gateways": []}


async def test_beats_are_heap_only_updates(database_url: str, db: asyncpg.Connection) -> None:
    record = BeatRecord(database_url, "secret")
    for count in range(20):
        await record.beat(Beat("host", "1", NOW, count, count, 0, 0, 0, 1.0, 0.0))
    record.close()

    async def are_counted() -> bool:
        statement = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'gateway_beats'"
        updates, hot = await db.fetchrow(statement)
        return bool(updates == hot == 19)

    await eventually(are_counted)
    assert "secret" not in str(await db.fetchrow("select * from gateway_beats"))


async def test_a_replay_like_writer_is_seen(database_url: str) -> None:
    """Whoever writes live rows is seen, rung or not: within five seconds."""
    writer = await Writer.open(database_url)
    try:
        async with sidecar(database_url, now=NOW) as client, stream(client, kinds="vehicles") as events:
            reading = vehicle(5, 1.0, "v-9")
            await writer.write([Message(Stream.VEHICLE, "fleet/cp-1/vehicle", b"", reading)], NOW)
            await events.until("vehicles", "vehicleId", {"v-9"})
    finally:
        writer.terminate()


async def test_a_kind_that_nobody_wanted_for_a_while_is_looked_at_anew(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the last who wanted it were told may be hours old."""
    monkeypatch.setattr(stream_hub, "SLOW_SECONDS", 600.0)
    record = BeatRecord(database_url, "a")
    async with sidecar(database_url, now=NOW) as client, stream(client, kinds="meters"):
        async with stream(client, kinds="gateways") as events:
            assert (await events.next("gateways"))[1] == {"gateways": []}
        async with stream(client, kinds="vehicles"):  # greeted: there was a look without anyone who wants gateways
            await record.beat(Beat("host", "1", NOW, 1, 1, 0, 0, 0, 1.0, 0.0))
        async with stream(client, kinds="gateways") as events:
            [one] = (await events.next("gateways"))[1]["gateways"]
            assert one["host"] == "host"
    record.close()


async def test_who_comes_again_from_the_same_place_shares_what_was_missed(
    database_url: str, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart of the sidecar all clients come at once: a copy of the fleet for each would stop the loop and fill the memory."""
    since = (await changes.now(db)).cursor
    await write(database_url, [vehicle(1, 1.0, f"v-{number}") for number in range(20)])
    encoded: list[bytes] = []
    real = News.encode

    def counted(news: News, cursor: Cursor) -> bytes:
        encoded.append(real(news, cursor))
        return encoded[-1]

    monkeypatch.setattr(News, "encode", counted)
    async with open_reader(database_url) as reader:
        hub = stream_hub.Hub(reader, database_url, lambda: NOW, Metrics())
        asked: list[tuple[frozenset[Kind], str | None]] = [(frozenset({"vehicles"}), None)] * 50
        asked += [(frozenset({"vehicles"}), "v-7"), (frozenset({"meters"}), None)]
        clients = [StreamClient(kinds, only, since) for kinds, only in asked]
        with contextlib.ExitStack() as joined:
            for one in clients:
                joined.enter_context(hub.joined(one))
            async with hub.serving():
                words = [
                    [await anext(chunks), await anext(chunks)] for chunks in (one.chunks() for one in clients[:51])
                ]
    assert {b"".join(one).count(b"vehicleId") for one in words[:50]} == {20}
    assert b"".join(words[50]).count(b"vehicleId") == 1
    assert len([one for one in encoded if one]) == 2


async def test_the_end_of_the_hub_leaves_no_task_behind(database_url: str) -> None:
    async with open_reader(database_url) as reader:
        hub = stream_hub.Hub(reader, database_url, lambda: NOW, Metrics())
        client = StreamClient(frozenset({"meters"}), None, None)
        with hub.joined(client):
            async with hub.serving():

                async def rests() -> bool:
                    return any(task.get_name() == "stream-wait" for task in asyncio.all_tasks())

                await eventually(rests)
    await asyncio.sleep(0.05)  # what is cancelled has a turn to end
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("stream-")] == []


PRIMARY = Now(Cursor(100, 1000, "here"), next=120, in_recovery=False)
REPLICA = Now(Cursor(100, 1000, "here"), next=120, in_recovery=True)


@pytest.mark.parametrize(
    ("now", "since", "expected"),
    [
        (PRIMARY, Cursor(90, 1000, "here"), "reached"),
        (PRIMARY, Cursor(90, 1005, "here"), "reached"),  # the server's clock was set back
        (PRIMARY, Cursor(121, 999, "here"), "lost"),  # the server was set back: its volume was restored
        (REPLICA, Cursor(121, 999, "here"), "later"),  # it has not come so far yet
        (PRIMARY, Cursor(90, 999, "elsewhere"), "lost"),
        (PRIMARY, Cursor(90, 1000 - changes.RESUMABLE_SECONDS - 2, "here"), "lost"),
    ],
)
def test_from_which_cursors_changes_can_be_given(now: Now, since: Cursor, expected: str) -> None:
    assert now.reaches(since) == (expected == "reached")
    assert now.has_lost(since) == (expected == "lost")
