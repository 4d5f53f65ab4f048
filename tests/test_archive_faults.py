"""An archive that is killed at any step, or finds a damaged file or other readings, loses nothing and goes on."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

import archive_support
from archive_support import (
    FIRST,
    KILLED_AT,
    NAMES,
    RUN,
    SECOND,
    archive,
    comparable,
    in_files,
    midnight,
    old_tables,
    rollups,
    rows,
    to,
)

pytest.importorskip("pyarrow.parquet", reason="the extra `archive` is not installed")

template, url, old = archive_support.template, archive_support.url, archive_support.old

STEPS = (
    "meter written", "vehicle written", "manifest written", "sealed", "meter detached", "meter dropped",
    "vehicle detached", "vehicle dropped",
)  # fmt: skip


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


async def test_a_folder_that_cannot_be_written_is_no_fault_of_the_database(url: str, old: asyncpg.Connection) -> None:
    result = archive(url, *to(Path("/proc/archive")))
    assert result.returncode == 1
    assert "/proc/archive" in result.stderr
    assert "database" not in result.stderr
    assert await old_tables(old) == sorted(NAMES)
