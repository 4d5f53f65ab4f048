"""`joulegate archive restore`: days of an archive are history again, whole, without holes and without what they would hide."""

import asyncio
import re
import signal
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

import archive_support
from archive_support import (
    FIRST,
    KILLED_AT,
    NAMES,
    SECOND,
    archive,
    midnight,
    old_tables,
    rollups,
    rows,
    settle,
    to,
)
from command_support import done
from joulegate_db.connect import ROLLER_SETTINGS, connect

pytest.importorskip("pyarrow.parquet", reason="the extra `archive` is not installed")

template, url, old = archive_support.template, archive_support.url, archive_support.old


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
