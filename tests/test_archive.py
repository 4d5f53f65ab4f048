"""`joulegate archive`: days become files and leave the database, and nothing is lost, wherever it is killed."""

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from archive_support import (
    DEFAULTS,
    FIRST,
    KILLED_AT,
    RUN,
    SECOND,
    archive,
    make_old_days,
    midnight,
    old_tables,
    rollups,
    rows,
    settle,
    to,
)
from command_support import done
from joulegate_cli.local.postgres import LocalPostgres
from joulegate_core.clock import utc_now
from joulegate_core.telemetry import Message, MeterReading, Stream
from joulegate_db.archive import ARCHIVER_SETTINGS, seal
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.reader import open_reader
from joulegate_db.rollups import EnergyDefaults
from joulegate_db.windows import Window
from joulegate_db.writer import Writer

pq = pytest.importorskip("pyarrow.parquet", reason="the extra `archive` is not installed")

ROOT = Path(__file__).parent.parent
BYTES_A_READING = 8
NAMES = [f"{stream}_history_{day:%Y%m%d}" for stream in ("meter", "vehicle") for day in (FIRST, SECOND)]
STEPS = (
    "meter written", "vehicle written", "manifest written", "sealed", "meter detached", "meter dropped",
    "vehicle detached", "vehicle dropped",
)  # fmt: skip


@pytest.fixture(scope="module")
def template(postgres_server: LocalPostgres) -> str:
    """The name of a database with two old days of five pairs."""
    name = f"a_{secrets.token_hex(6)}"

    async def make() -> None:
        maintenance = await asyncpg.connect(postgres_server.url())
        await maintenance.execute(f"create database {name} template joulegate_template")
        await maintenance.close()
        await make_old_days(postgres_server.url(name), pairs=5, days=2)

    asyncio.run(make())
    return name


@pytest.fixture
async def url(postgres_server: LocalPostgres, template: str) -> AsyncIterator[str]:
    """A copy of it."""
    name = f"b_{secrets.token_hex(6)}"
    maintenance = await asyncpg.connect(postgres_server.url())
    await maintenance.execute(f"create database {name} template {template}")
    yield postgres_server.url(name)
    await maintenance.execute(f"drop database {name} with (force)")
    await maintenance.close()


@pytest.fixture
async def old(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    connection = await asyncpg.connect(url)
    yield connection
    connection.terminate()


def in_files(folder: Path, stream: str) -> list[tuple[Any, ...]]:
    """All readings of the archive, day by day, as they lie in the files, by a reader that knows nothing of us."""
    duckdb = pytest.importorskip("duckdb")
    found: list[tuple[Any, ...]] = []
    for path in sorted(folder.glob(f"{stream}_history/*/readings.parquet")):
        table = duckdb.sql(f"select * exclude (day) from read_parquet('{path}', hive_partitioning = true)")
        found += table.fetchall()
    return found


def comparable(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Decimals as the floats that they stand for; `real` columns to their six digits."""
    return [
        tuple(
            one.timestamp() if hasattr(one, "timestamp") else f"{float(one):.6g}" if i > 1 and not isinstance(one, str | bool) else
            float(one) if not isinstance(one, str | bool) else one
            for i, one in enumerate(row)
        )
        for row in found
    ]  # fmt: skip


async def test_days_become_files_and_everything_else_stays(url: str, old: asyncpg.Connection, tmp_path: Path) -> None:
    before = {stream: await rows(old, stream) for stream in ("meter", "vehicle")}
    kept = await rollups(old)
    window = Window(midnight(FIRST), midnight(SECOND))
    async with open_reader(url) as reader:
        answer = await reader.performance("v-00001", window)
    result = archive(url, *to(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    assert await old_tables(old) == []
    assert await rollups(old) == kept
    assert len(before["meter"]) == 2 * 5 * 1440
    for stream, expected in before.items():
        assert comparable(in_files(tmp_path, stream)) == comparable(expected)
    files = list(tmp_path.glob("*_history/*/readings.parquet"))
    assert sum(file.stat().st_size for file in files) <= BYTES_A_READING * 4 * 5 * 1440
    assert not list(tmp_path.rglob("*.part"))
    async with open_reader(url) as reader:
        assert await reader.performance("v-00001", window) == answer, "an answer over whole quarters needs no history"
    assert "2 days, 28,800 readings" in done(url, "archive", "list", str(tmp_path))
    assert done(url, "archive", "verify", str(tmp_path)).count("14,400 readings, as written") == 2
    assert done(url, "archive", *to(tmp_path)) == "nothing to do: no day is that old\n"


@pytest.mark.parametrize("step", STEPS)
async def test_killed_after_a_step_it_goes_on(url: str, old: asyncpg.Connection, tmp_path: Path, step: str) -> None:
    before, kept = {stream: await rows(old, stream) for stream in ("meter", "vehicle")}, await rollups(old)
    assert archive(url, *to(tmp_path), before=KILLED_AT.format(step=step)).returncode == -signal.SIGKILL
    assert await rollups(old) == kept
    result = archive(url, *to(tmp_path))
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert await old_tables(old) == []
    assert await rollups(old) == kept
    for stream, expected in before.items():
        assert comparable(in_files(tmp_path, stream)) == comparable(expected)
    assert not list(tmp_path.rglob("*.part"))


async def test_killed_in_the_middle_of_a_file(url: str, old: asyncpg.Connection, tmp_path: Path) -> None:
    for patch in ("files._write_parquet", "files.finish", "run.digest_of_file"):
        before = f"import os, signal\nfrom joulegate_cli.archive import files, run\n{patch} = lambda *_: os.kill(os.getpid(), 9)"
        assert archive(url, *to(tmp_path), before=before).returncode == -signal.SIGKILL
        assert await old_tables(old) == sorted(NAMES), "nothing leaves the database before it is in the archive"
    assert archive(url, *to(tmp_path)).returncode == 0
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".part", ".arrow"}]


async def test_killed_in_the_middle_of_a_detach(url: str, old: asyncpg.Connection, tmp_path: Path) -> None:
    reading = old.transaction()
    await reading.start()
    await old.fetchval("select count(*) from meter_history where ts < $1", midnight(SECOND))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
    command = [sys.executable, "-c", RUN, "archive", *to(tmp_path)]
    process = subprocess.Popen(command, env=kept | {"JOULEGATE_DATABASE_URL": url}, stdout=subprocess.DEVNULL)
    watching = await asyncpg.connect(url)
    async with asyncio.timeout(30):
        while not await watching.fetchval("select exists (select from pg_inherits where inhdetachpending)"):
            await asyncio.sleep(0.05)
    process.kill()
    process.wait()
    await watching.fetch(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'joulegate-archive'"
    )
    await reading.rollback()
    result = archive(url, *to(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    assert await old_tables(old) == []
    assert len(in_files(tmp_path, "meter")) == 2 * 5 * 1440
    await watching.close()


@pytest.mark.parametrize(
    ("change", "days", "least"),
    [
        ("select 1", 7, 8),
        ("update roll_state set look_back = '21 days'", 20, 21),
        ("update roll_state set meter_energy = 'register'", 14, 15),
        ("update devices set energy = 'register' where device = 'm-00001'", 14, 15),
    ],
)
async def test_what_may_still_be_needed_stays(
    url: str, old: asyncpg.Connection, tmp_path: Path, change: str, days: int, least: int
) -> None:
    await old.execute(change)
    result = archive(url, *to(tmp_path, days))
    assert result.returncode == 1
    assert f"at least {least}d" in result.stderr
    assert not list(tmp_path.iterdir())
    assert archive(url, *to(tmp_path, least)).returncode == 0


@pytest.mark.parametrize(
    "change",
    [
        "insert into rollup_marks values ($1, 'm-00001', 'meter')",
        "insert into charging_marks values ($1, 'cp-00001', '')",
        "update roll_state set rolled_until = $1",
    ],
)
async def test_a_day_whose_rollups_are_not_final_stays(
    url: str, old: asyncpg.Connection, tmp_path: Path, change: str
) -> None:
    await old.execute(change, midnight(FIRST) + timedelta(hours=1))
    result = archive(url, *to(tmp_path))
    assert result.returncode == 1
    assert f"{FIRST}: its rollups are not final" in result.stderr
    assert await old_tables(old) == sorted(NAMES)
    assert await old.fetchval("select archived_until = 'epoch' from roll_state")


async def test_rollups_of_archived_days_are_never_rebuilt(url: str, old: asyncpg.Connection, tmp_path: Path) -> None:
    kept = await rollups(old)
    assert archive(url, *to(tmp_path)).returncode == 0
    # a gateway with a longer clock window makes the days' partitions again, and takes a late reading
    await old.fetchval("select ensure_partitions($1, $2)", FIRST, SECOND)
    late = midnight(FIRST) + timedelta(hours=5, seconds=7)
    await old.execute("insert into meter_history values ($1, 9, 230, true, 'm-00001', 'cp-00001')", late)
    await old.execute("insert into rollup_marks values (date_bin('15 minutes', $1, 'epoch'), 'm-00001', 'meter')", late)
    since, until = f"{midnight(FIRST):%FT%TZ}", f"{midnight(SECOND):%FT%TZ}"
    assert "nothing to do" in done(url, "rollup", "rebuild", "--from", since, "--to", until)
    connection = await connect(url, ROLLER_SETTINGS)
    await settle(connection)
    assert await rollups(old) == kept
    assert await old.fetchval("select count(*) from rollup_marks") == 0
    connection.terminate()
    await asyncio.sleep(0.2)  # the server lets the roller's lock go
    # everything is rolled anew, from the beginning of what is left
    connection = await connect(url, ROLLER_SETTINGS)
    await settle(connection, EnergyDefaults("register", "interval", 2000, DEFAULTS.look_back))
    assert await rollups(old) == kept
    connection.terminate()


async def test_restored_days_are_history_again(url: str, old: asyncpg.Connection, tmp_path: Path) -> None:
    before, kept = {stream: await rows(old, stream) for stream in ("meter", "vehicle")}, await rollups(old)
    assert archive(url, *to(tmp_path)).returncode == 0
    assert archive(url, "restore", str(tmp_path), "--from", f"{SECOND}").returncode == 0
    assert await old_tables(old) == [name for name in sorted(NAMES) if name.endswith(f"{SECOND:%Y%m%d}")]
    for step in ("meter filled", "vehicle filled", "attached"):
        killed = archive(url, "restore", str(tmp_path), "--from", f"{FIRST}", before=KILLED_AT.format(step=step))
        assert killed.returncode == -signal.SIGKILL
    again = archive(url, "restore", str(tmp_path), "--from", f"{FIRST}")
    assert (again.returncode, again.stdout) == (0, "nothing to do: history has these days\n")
    assert {stream: await rows(old, stream) for stream in before} == before
    assert await old.fetchval("select archived_until from roll_state") == midnight(FIRST)
    since, until = f"{midnight(FIRST):%FT%TZ}", f"{midnight(SECOND):%FT%TZ}"
    assert "24 hours" in done(url, "rollup", "rebuild", "--from", since, "--to", until), (
        "and rollups can be rebuilt from it"
    )
    assert await rollups(old) == kept
    connection = await connect(url, ROLLER_SETTINGS)
    await settle(connection)
    connection.terminate()
    assert archive(url, *to(tmp_path)).returncode == 0, "and archived again"
    assert await old_tables(old) == []


async def test_writers_and_readers_go_on_meanwhile(url: str, old: asyncpg.Connection, tmp_path: Path) -> None:
    archiving = asyncio.create_task(asyncio.to_thread(archive, url, *to(tmp_path)))
    writer, written, slowest = await Writer.open(url), 0, 0.0
    async with open_reader(url) as reader:
        while not archiving.done():
            began = asyncio.get_running_loop().time()
            one = MeterReading("m-now", "cp-1", utc_now(), 1.0, 230.0, late=False)
            await writer.write([Message(Stream.METER, "", b"", one)], utc_now())
            written += 1
            assert await reader.performance("v-00001", Window(midnight(FIRST), midnight(SECOND))) is not None
            slowest = max(slowest, asyncio.get_running_loop().time() - began)
    writer.terminate()
    assert (await archiving).returncode == 0
    assert await old_tables(old) == []
    assert await old.fetchval("select count(*) from meter_history where device = 'm-now'") == written > 20
    assert slowest < 2, "no one waits for the archive"


async def test_a_day_without_readings(url: str, old: asyncpg.Connection, tmp_path: Path) -> None:
    empty = SECOND + timedelta(days=1)
    await old.fetchval("select ensure_partitions($1, $1)", empty)
    assert archive(url, *to(tmp_path)).returncode == 0
    assert await old_tables(old) == []
    assert f"{empty}  0  " in re.sub(" +", "  ", done(url, "archive", "list", str(tmp_path)))
    assert "1 days restored" in done(url, "archive", "restore", str(tmp_path), "--from", f"{empty}")
    assert await old_tables(old) == [f"{stream}_history_{empty:%Y%m%d}" for stream in ("meter", "vehicle")]


async def test_history_gets_no_hole(url: str, old: asyncpg.Connection, tmp_path: Path) -> None:
    assert archive(url, *to(tmp_path)).returncode == 0
    (tmp_path / f"days/{SECOND}.json").rename(tmp_path / "elsewhere")
    refused = archive(url, "restore", str(tmp_path), "--from", f"{FIRST}")
    assert refused.returncode == 1
    assert f"{FIRST} cannot be restored" in refused.stderr
    assert await old_tables(old) == []


async def test_a_restore_from_a_damaged_file_keeps_the_table_that_is_whole(
    url: str, old: asyncpg.Connection, tmp_path: Path
) -> None:
    """A killed archive left it detached: it is the only copy that is left of the day."""
    assert archive(url, *to(tmp_path), before=KILLED_AT.format(step="meter detached")).returncode == -signal.SIGKILL
    file = tmp_path / f"meter_history/day={FIRST}/readings.parquet"
    file.write_bytes(file.read_bytes()[:-1000])
    refused = archive(url, "restore", str(tmp_path), "--from", f"{FIRST}")
    assert refused.returncode == 1
    assert str(file) in refused.stderr
    assert f"meter_history_{FIRST:%Y%m%d}" in await old_tables(old)
    assert await old.fetchval(f"select count(*) from meter_history_{FIRST:%Y%m%d}") == 5 * 1440


async def test_a_reading_that_comes_while_an_empty_day_is_restored_is_not_dropped(
    url: str, old: asyncpg.Connection, tmp_path: Path
) -> None:
    assert archive(url, *to(tmp_path)).returncode == 0
    await old.fetchval("select ensure_partitions($1, $2)", SECOND, SECOND)  # a gateway with a longer clock window
    writing = old.transaction()
    await writing.start()
    await old.execute(
        "lock table meter_history in share update exclusive mode"
    )  # the restore is held before its detach
    restoring = asyncio.create_task(asyncio.to_thread(archive, url, "restore", str(tmp_path), "--from", f"{SECOND}"))
    waiting = "application_name = 'joulegate-archive' and wait_event_type = 'Lock' and datname = current_database()"
    async with asyncio.timeout(30):
        while not await old.fetchval(f"select count(*) from pg_stat_activity where {waiting}"):
            assert not restoring.done(), (await restoring).stdout
            await old.execute("select pg_stat_clear_snapshot()")
            await asyncio.sleep(0.05)
    ts = midnight(SECOND) + timedelta(seconds=1)
    await old.execute("insert into meter_history values ($1, 9, 230, true, 'm-new', 'cp-1')", ts)
    await writing.commit()
    refused = await restoring
    assert refused.returncode == 1
    assert f"meter_history_{SECOND:%Y%m%d}" in refused.stderr
    assert await old.fetchval("select count(*) from meter_history where device = 'm-new'") == 1


async def test_restore_unseals_a_day_that_a_killed_archive_left_in_history(
    url: str, old: asyncpg.Connection, tmp_path: Path
) -> None:
    """Else it is neither archived nor rolled, and a replay asks for a restore that says that there is nothing to do."""
    assert archive(url, *to(tmp_path), before=KILLED_AT.format(step="sealed")).returncode == -signal.SIGKILL
    assert await old.fetchval("select archived_until from roll_state") == midnight(SECOND)
    assert archive(url, "restore", str(tmp_path), "--from", f"{FIRST}").returncode == 0
    assert await old.fetchval("select archived_until from roll_state") == midnight(FIRST)
    assert await old_tables(old) == sorted(NAMES)


async def test_partitions_made_anew_are_no_history_to_a_restore(
    url: str, old: asyncpg.Connection, tmp_path: Path
) -> None:
    """They would hide the hole of the day after, whose rollups could then be rebuilt from nothing."""
    assert archive(url, *to(tmp_path)).returncode == 0
    (tmp_path / f"days/{SECOND}.json").unlink()  # as if it were in another folder
    await old.fetchval("select ensure_partitions($1, $2)", SECOND, SECOND)
    kept = await rollups(old)
    refused = archive(url, "restore", str(tmp_path), "--from", f"{FIRST}")
    assert refused.returncode == 1
    assert f"{FIRST} cannot be restored" in refused.stderr
    assert await old.fetchval("select archived_until from roll_state") == midnight(SECOND) + timedelta(days=1)
    assert await rollups(old) == kept


async def test_a_day_is_sealed_when_no_writer_is_at_work(url: str, old: asyncpg.Connection) -> None:
    """What a replay is about to commit is in the day's files, or the replay sees that it is archived."""
    connection = await connect(url, ARCHIVER_SETTINGS)
    await old.execute("select pg_advisory_lock_shared(hashtext('joulegate.close'))")
    sealing = asyncio.create_task(seal(connection, midnight(SECOND), lambda _: None))
    await asyncio.sleep(0.5)
    assert not sealing.done()
    await old.execute("select pg_advisory_unlock_shared(hashtext('joulegate.close'))")
    async with asyncio.timeout(10):
        await sealing
    assert await old.fetchval("select archived_until from roll_state") == midnight(SECOND)
    connection.terminate()


async def test_a_damaged_file_is_seen_before_anything_is_dropped(
    url: str, old: asyncpg.Connection, tmp_path: Path
) -> None:
    assert archive(url, *to(tmp_path), before=KILLED_AT.format(step="manifest written")).returncode == -signal.SIGKILL
    file = tmp_path / f"vehicle_history/day={FIRST}/readings.parquet"
    content = bytearray(file.read_bytes())
    for position in range(len(content) // 3, len(content) // 3 + 64):
        content[position] ^= 0xFF
    file.write_bytes(content)
    refused = archive(url, *to(tmp_path))
    assert refused.returncode == 1
    assert str(file) in refused.stderr
    assert await old_tables(old) == sorted(NAMES)
    verified = archive(url, "verify", str(tmp_path))
    assert verified.returncode == 1
    assert "1 days are damaged" in verified.stdout
    assert archive(url, "restore", str(tmp_path), "--from", f"{FIRST}").returncode == 0, "history has it still"


async def test_readings_that_came_after_the_files_were_written_are_not_dropped(
    url: str, old: asyncpg.Connection, tmp_path: Path
) -> None:
    assert archive(url, *to(tmp_path), before=KILLED_AT.format(step="manifest written")).returncode == -signal.SIGKILL
    ts = midnight(FIRST) + timedelta(seconds=1, microseconds=1)
    await old.execute("insert into meter_history values ($1, 9, 230, true, 'm-new', 'cp-1')", ts)
    refused = archive(url, *to(tmp_path))
    assert refused.returncode == 1
    assert "has other readings (7,201) than the archive (7,200)" in refused.stderr
    assert await old.fetchval("select count(*) from meter_history where device = 'm-new'") == 1
    (tmp_path / f"days/{FIRST}.json").unlink()
    assert archive(url, *to(tmp_path)).returncode == 0
    assert len(in_files(tmp_path, "meter")) == 2 * 5 * 1440 + 1


def test_without_the_extra_the_message_names_it(url: str, tmp_path: Path) -> None:
    result = archive(url, *to(tmp_path), before="import sys\nsys.modules['pyarrow'] = None")
    assert (result.returncode, result.stderr) == (
        1, "joulegate: archives need pyarrow, the extra `archive`: pip install 'joulegate[archive]'\n",
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["--older-than", "30d"], ["--older-than", "month", "--to", "x"]])
def test_usage(database_url: str, arguments: list[str]) -> None:
    assert archive(database_url, *arguments).returncode == 2


async def test_a_folder_that_cannot_be_written_is_no_fault_of_the_database(url: str, old: asyncpg.Connection) -> None:
    result = archive(url, *to(Path("/proc/archive")))
    assert result.returncode == 1
    assert "/proc/archive" in result.stderr
    assert "database" not in result.stderr
    assert await old_tables(old) == sorted(NAMES)


async def test_what_the_document_asks_of_an_archive_is_answered(
    url: str, old: asyncpg.Connection, tmp_path: Path
) -> None:
    duckdb = pytest.importorskip("duckdb")
    assert archive(url, *to(tmp_path / "archive")).returncode == 0
    questions = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/archive.md").read_text(), re.DOTALL)
    assert len(questions) >= 3
    for question in questions:
        asked = question.replace("/srv/archive", str(tmp_path / "archive")).replace("2026-05-01", f"{FIRST}")
        answers = [duckdb.sql(one).fetchall() for one in asked.split(";") if one.strip()]
        assert all(answers), question
        if "efficiency" in question:
            rolled = await old.fetchrow(
                "select sum(dc) / sum(ac) as ratio from charging_15m where vehicle = 'v-00001' and bucket < $1",
                midnight(SECOND),
            )
            found = {row[0]: row[-1] for row in answers[-1]}
            assert found["v-00001"] == pytest.approx(rolled["ratio"], rel=1e-9), "the same as rollups say"
