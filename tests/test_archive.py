"""`joulegate archive`: days that nobody needs any more become files and leave the database, and everything else stays."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

import archive_support
from archive_support import (
    DEFAULTS,
    FIRST,
    NAMES,
    SECOND,
    archive,
    comparable,
    in_files,
    midnight,
    old_tables,
    rollups,
    rows,
    settle,
    to,
)
from command_support import done
from joulegate_core.clock import utc_now
from joulegate_core.telemetry import Message, MeterReading, Stream
from joulegate_db.archive import ARCHIVER_SETTINGS, seal
from joulegate_db.connect import ROLLER_SETTINGS, connect
from joulegate_db.reader import open_reader
from joulegate_db.rollups import EnergyDefaults
from joulegate_db.windows import Window
from joulegate_db.writer import Writer

pytest.importorskip("pyarrow.parquet", reason="the extra `archive` is not installed")

template, url, old = archive_support.template, archive_support.url, archive_support.old

ROOT = Path(__file__).parent.parent
BYTES_A_READING = 8


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


@pytest.mark.parametrize("arguments", [[], ["--older-than", "30d"], ["--older-than", "month", "--to", "x"]])
def test_usage(database_url: str, arguments: list[str]) -> None:
    assert archive(database_url, *arguments).returncode == 2


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
