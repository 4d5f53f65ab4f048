"""JOULEGATE_READ_DATABASE_URL on a real standby: whose answers these are, how old, and what happens when it is in the way or away."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway_harness import eventually
from http_service_support import PERFORMANCE, becomes, prepare, sidecar, status
from http_support import assert_streamed, at, meter, vehicle, write
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_db.changes import now
from joulegate_db.checked_pool import ReplicaConflictError
from joulegate_db.reader import open_reader
from joulegate_http.problems import as_problem
from replica_harness import bin_dir, replica_of, sockets


class Pair(NamedTuple):
    """A primary and its standby."""

    primary: LocalPostgres
    replica: LocalPostgres

    @property
    def preferred(self) -> str:
        """The replica while there is one, else the primary."""
        hosts = f"{sockets(self.replica)},{sockets(self.primary)}"
        return f"postgresql://joulegate@/postgres?host={hosts}&port=5432,5432&target_session_attrs=prefer-standby"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Both are running, with the schema, and end with the test."""
    primary = LocalPostgres(
        tmp_path / "p", options={"fsync": "off", "shared_buffers": "64MB"}, bin_dir=bin_dir()
    ).start()
    try:
        asyncio.run(prepare(primary.url()))
        replica = replica_of(primary, tmp_path / "r")
        try:
            yield Pair(primary, replica)
        finally:
            replica.stop("immediate")
    finally:
        primary.stop("immediate")


async def lag(client: httpx.AsyncClient) -> float:
    text = (await client.get("/metrics")).text
    return next(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "joulegate_http_read_lag_seconds"
    )


async def readings_of(client: httpx.AsyncClient) -> int:
    answer = (await client.get(PERFORMANCE)).json()
    return int(answer["quality"]["vehicleReadings"]) if "quality" in answer else 0


async def test_answers_are_the_replicas_and_changes_the_primarys(pair: Pair) -> None:
    await write(pair.primary.url(), [meter(1, 2.0), vehicle(1, 1.8)])
    admin = await asyncpg.connect(pair.replica.url())
    async with sidecar(pair.primary.url(), JOULEGATE_READ_DATABASE_URL=pair.replica.url()) as client:
        await eventually(lambda: reads(client, 1))
        assert await lag(client) == 0

        await admin.execute("select pg_wal_replay_pause()")
        await write(pair.primary.url(), [meter(2, 2.0), vehicle(2, 1.8)])
        put = {"vehicleId": "v-1", "meterId": "m-1", "validFrom": at(0).isoformat()}
        link = (await client.put("/v1/links", json=put)).json()
        assert (await client.get("/v1/links")).json()["links"] == [link], (
            "of the primary: what was put is found at once"
        )
        await eventually(lambda: lags(client))
        assert await readings_of(client) == 1
        assert (await client.get(PERFORMANCE)).json()["quality"]["pairing"] == "exclusive"

        await admin.execute("select pg_wal_replay_resume()")
        await eventually(lambda: reads(client, 2))
        assert (await client.get(PERFORMANCE)).json()["quality"]["pairing"] == "link"
        await eventually(lambda: is_level(client))
    await admin.close()


async def reads(client: httpx.AsyncClient, count: int) -> bool:
    return await readings_of(client) == count


async def lags(client: httpx.AsyncClient) -> bool:
    return await lag(client) > 0.5


async def is_level(client: httpx.AsyncClient) -> bool:
    return await lag(client) == 0


async def test_the_stream_listens_on_the_primary_and_looks_at_the_replica(pair: Pair) -> None:
    admin = await asyncpg.connect(pair.primary.url())
    async with sidecar(pair.primary.url(), JOULEGATE_READ_DATABASE_URL=pair.replica.url()) as client:
        await assert_streamed(client, admin, pair.primary.url())
    await admin.close()


async def test_a_cursor_is_taken_by_both_until_the_replica_is_promoted(pair: Pair) -> None:
    """From then on the two count for themselves, from the same number."""
    primary, replica = await asyncpg.connect(pair.primary.url()), await asyncpg.connect(pair.replica.url())

    async def is_level() -> bool:
        return (await now(replica)).reaches((await now(primary)).cursor)

    await eventually(is_level)
    since = (await now(replica)).cursor
    assert (await now(primary)).reaches(since)
    await replica.execute("select pg_promote()")
    promoted = await now(replica)
    assert promoted.has_lost(since)
    assert promoted.cursor.transaction >= since.transaction
    await replica.execute("checkpoint")
    assert (await now(replica)).cursor.database == promoted.cursor.database
    await replica.close()
    await primary.close()


async def test_a_question_that_stands_in_the_way_is_to_be_asked_again(pair: Pair) -> None:
    primary = await asyncpg.connect(pair.primary.url())
    async with open_reader(pair.replica.url()) as reader:

        async def ask_long() -> None:
            async with reader.snapshot() as connection:
                await connection.fetch("select count(*), pg_sleep(9) from alerts")

        asking = asyncio.create_task(ask_long())
        looking = await asyncpg.connect(pair.replica.url())
        held = "select count(*) > 0 from pg_locks where relation = 'alerts'::regclass and pid <> pg_backend_pid()"
        await eventually(lambda: looking.fetchval(held))
        await primary.execute("alter table alerts set (fillfactor = 90)")
        await primary.execute("truncate alerts")
        with pytest.raises(ReplicaConflictError) as raised:
            await asyncio.wait_for(asking, 8)
        problem = as_problem(raised.value)
        assert (problem.code, problem.headers["Retry-After"]) == ("replica_conflict", "1")
        await reader.check()
        await looking.close()
    await primary.close()


async def test_without_the_replica_answers_are_503_unless_the_url_names_the_primary_too(pair: Pair) -> None:
    await write(pair.primary.url(), [meter(1, 2.0), vehicle(1, 1.8)])
    async with (
        sidecar(pair.primary.url(), JOULEGATE_READ_DATABASE_URL=pair.replica.url()) as strict,
        sidecar(pair.primary.url(), JOULEGATE_READ_DATABASE_URL=pair.preferred) as lenient,
    ):
        await eventually(lambda: reads(strict, 1))
        await eventually(lambda: reads(lenient, 1))
        pair.replica.stop("fast")
        await becomes(strict, PERFORMANCE, 503)
        assert (await strict.get(PERFORMANCE)).json()["code"] == "database_unavailable"
        assert await status(strict, "/readyz") == 503
        assert await status(strict, "/v1/links") == 200
        await becomes(lenient, PERFORMANCE, 200)
        pair.replica.start()
        await becomes(strict, PERFORMANCE, 200)
