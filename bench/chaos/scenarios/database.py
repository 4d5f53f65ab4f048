"""Faults of the database."""

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import psutil

from chaos.process import GatewayProcess
from chaos.scenario import scenario
from chaos.stand import Stand

IN_TRANSACTION = (
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where application_name = 'joulegate-gateway' and state <> 'idle' and query ilike $1 limit 1"
)
MEGABYTE = 1 << 20


@scenario("PostgreSQL killed (-9), crash recovery")
async def database_killed(stand: Stand) -> None:
    """Either one of its processes, upon which it ends all sessions and recovers by itself, or the postmaster with all children."""
    gateway = await stand.subscribed()
    for round_ in range(6):
        await stand.load(0.5, 1.5)
        server = psutil.Process(stand.postgres.pid)
        children = server.children()
        if round_ % 2:
            backend = next((c for c in children if "joulegate" in " ".join(c.cmdline())), children[-1])
            backend.kill()
            stand.faults["kill -9 backend"] += 1
        else:
            for each in (server, *children):
                each.kill()
            psutil.wait_procs([server, *children], timeout=10)
            stand.faults["kill -9 postmaster"] += 1
            await asyncio.to_thread(stand.postgres.start)
        await stand.recovered(gateway)


@scenario("PostgreSQL stopped for a minute")
async def database_away(stand: Stand) -> None:
    """After five seconds the gateway leaves the queue to the broker; it comes back by itself."""
    gateway = await stand.subscribed()
    await stand.load(1)
    await asyncio.to_thread(stand.postgres.stop, "fast")
    stand.faults["stop for 60 s"] += 1
    await stand.load(60)
    stand.expect(gateway.events("queue_left_to_broker"), "the queue was not left to the broker")
    await asyncio.to_thread(stand.postgres.start)
    await stand.recovered(gateway)


@scenario("pg_terminate_backend in mid-COPY and mid-statement")
async def backend_terminated(stand: Stand) -> None:
    """The session is ended from inside the server while it copies, appends or commits."""
    gateway = await stand.subscribed(linger_ms=0)
    async with stand.database() as db:
        for pattern in ("copy%", "%insert%", "%commit%", "%") * 3:
            await stand.load(0.05, 0.3)
            for _ in range(300):
                if await db.fetchval(IN_TRANSACTION, pattern):
                    stand.faults[f"terminate in {pattern.strip('%') or 'any statement'}"] += 1
                    await stand.recovered(gateway)
                    break


@scenario("locks held on history, live and quarantine")
async def table_locked(stand: Stand) -> None:
    """An ACCESS EXCLUSIVE lock, as a careless migration takes it; longer than the gateway's patience."""
    gateway = await stand.subscribed()
    async with stand.database() as db:
        for name, seconds in (("meter_history", 3), ("vehicle_live", 2), ("quarantine", 12)):
            await stand.load(0.5)
            async with db.transaction():
                await db.execute(f"lock table {name} in access exclusive mode")
                stand.faults[f"lock on {name}, {seconds} s"] += 1
                await asyncio.sleep(seconds)
            await stand.recovered(gateway)


@scenario("deadlocks and serialization failures")
async def deadlocks(stand: Stand) -> None:
    """A rival locks the same rows in the opposite order; another makes every commit fail with 40001 for a while."""
    gateway = await stand.subscribed(linger_ms=200)
    async with stand.database() as db:
        await db.execute("set deadlock_timeout = '10s'")  # the gateway is the one to be chosen
        for _ in range(15):
            await stand.load(0.1, 0.3)
            await _lock_against(db, stand)
        await db.execute(SERIALIZATION_FAILURE)
        stand.faults["40001 at commit, 1 s"] += 1
        await stand.load(1)
        await db.execute("drop trigger chaos_40001 on meter_history")
        await stand.recovered(gateway)
    held = gateway.events("batch_held")
    stand.faults["deadlock (40P01) at the gateway"] = sum("40P01" in event["error"] for event in held)


SERIALIZATION_FAILURE = """
create function chaos_40001() returns trigger language plpgsql as
    $$ begin raise exception 'chaos' using errcode = '40001'; end $$;
create trigger chaos_40001 before insert on meter_history for each statement execute function chaos_40001()
"""


async def _lock_against(db: asyncpg.Connection, stand: Stand) -> None:
    """Takes live rows from the last to the first, slowly, while the gateway takes them from the first to the last."""
    try:
        async with db.transaction():
            for device in range(99, -1, -9):
                await db.execute("select 1 from meter_live where device = $1 for update", f"m-{device}")
                await asyncio.sleep(0.005)
        stand.faults["rows locked in the opposite order"] += 1
    except asyncpg.DeadlockDetectedError:
        stand.faults["deadlock at the rival"] += 1


@scenario("disk full", disk_megabytes=320)
async def disk_full(stand: Stand) -> None:
    """The data directory stands on a small file system of its own, which is filled up and cleared again."""
    gateway = await stand.subscribed()
    filler = stand.directory / "postgres" / "filler"
    for _ in range(2):
        await stand.load(1)
        _fill(filler)
        stand.faults["no space left"] += 1
        await _until_held(gateway, 30)
        await stand.load(3)
        filler.unlink()
        if stand.postgres.pid is None:  # what cannot write WAL ends itself (PANIC), and its recovery needs room too
            stand.faults["server ended itself"] += 1
            await asyncio.to_thread(stand.postgres.start)
        await stand.recovered(gateway)


def _fill(filler: Path) -> None:
    """Takes all space but a little, which the next batches take."""
    free = os.statvfs(filler.parent)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(MEGABYTE, free.f_bavail * free.f_frsize - MEGABYTE))


async def _until_held(gateway: GatewayProcess, seconds: float) -> None:
    held = len(gateway.events("batch_held"))
    for _ in range(round(seconds * 10)):
        if len(gateway.events("batch_held")) > held:
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("the database went on writing on a full disk")


@scenario("PostgreSQL read-only for a while")
async def database_read_only(stand: Stand) -> None:
    """As after a failover to a standby that is not promoted yet."""
    gateway = await stand.subscribed()
    async with stand.database() as db:
        for _ in range(3):
            await stand.load(0.5)
            await db.execute("alter system set default_transaction_read_only = on")
            await db.execute("select pg_reload_conf()")
            stand.faults["read-only"] += 1
            await stand.load(1.5)
            await db.execute("set default_transaction_read_only = off")
            await db.execute("alter system reset default_transaction_read_only")
            await db.execute("select pg_reload_conf()")
            await stand.recovered(gateway)


@scenario("today's partitions missing")
async def partition_missing(stand: Stand) -> None:
    """Detached and dropped under the gateway, which makes them again; what was in them goes with them, so they are empty."""
    gateway = await stand.gateway().start()
    async with stand.database() as db:
        await db.execute(DROP_ALL_PARTITIONS)
        stand.faults["partitions dropped"] += 1
    stand.fleet.paused = False
    await stand.recovered(gateway)
    await stand.load(2)


DROP_ALL_PARTITIONS = """
do $$ declare child regclass; begin
    for child in select inhrelid::regclass from pg_inherits
        where inhparent in ('meter_history'::regclass, 'vehicle_history'::regclass)
    loop execute format('drop table %s', child); end loop;
end $$
"""


@scenario("PostgreSQL frozen (SIGSTOP) and thawed")
async def database_frozen(stand: Stand) -> None:
    """It holds its connections and says nothing, as on a machine that swaps."""
    gateway = await stand.subscribed()
    for seconds in (3, 8):
        await stand.load(0.5, 1)
        server = psutil.Process(stand.postgres.pid)
        processes = [server, *server.children()]
        for each in processes:
            each.send_signal(signal.SIGSTOP)
        stand.faults[f"frozen for {seconds} s"] += 1
        await asyncio.sleep(seconds)
        for each in processes:
            each.send_signal(signal.SIGCONT)
        await stand.recovered(gateway)
