"""`joulegate links`, as a user runs it."""

from pathlib import Path

import asyncpg

from command_support import done, joulegate
from http_support import at

HEADER = "vehicleId,meterId,validFrom,validTo\n"
GOOD = (
    HEADER
    + "v-1,m-1,2026-05-01T00:00:00Z,2026-05-02T12:30:00.000001Z\n"
    + "v-2,m-1,2026-05-02T12:30:00.000001Z,\n"
    + "v-1,m-2,2026-04-01T00:00:00Z,\n"
)


def file(tmp_path: Path, text: str | bytes) -> str:
    """A file with this content."""
    path = tmp_path / "links.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


async def test_export_and_import_are_each_others_reverse(database_url: str, tmp_path: Path) -> None:
    name = file(tmp_path, GOOD)
    assert done(database_url, "links", "export") == HEADER
    assert done(database_url, "links", "import", name, "--dry-run") == (
        "3 links would be created, 0 would be changed, 0 as they were\n"
    )
    assert done(database_url, "links", "export") == HEADER
    assert done(database_url, "links", "import", name) == "3 links created, 0 changed, 0 as they were\n"
    assert done(database_url, "links", "export") == GOOD
    assert done(database_url, "links", "import", name) == "0 links created, 0 changed, 3 as they were\n"
    assert done(database_url, "links", "export") == GOOD
    assert done(database_url, "links", "list", "--csv", "--meter", "m-2") == HEADER + GOOD.splitlines(keepends=True)[3]
    table = done(database_url, "links", "list", "--vehicle", "v-1").splitlines()
    assert [line.split()[1:3] for line in table[1:3]] == [["m-1", "v-1"], ["m-2", "v-1"]]
    assert table[0].split() == ["id", "meter", "vehicle", "from", "to"]
    assert table[2].endswith("without end")
    assert table[3:] == ["2 links"]


async def test_a_spreadsheets_file(database_url: str, tmp_path: Path) -> None:
    """Byte order mark, CRLF, quotes, an empty line, other order of columns, another offset."""
    text = (
        '﻿validTo,"vehicleId", meterId ,validFrom\r\n'
        '"",v-1,"m-1",2026-05-01T02:00:00+02:00\r\n\r\n'
        "2026-06-01T00:00:00Z, v-2 ,m-2,2026-05-01T00:00:00Z\r\n"
    )
    assert done(database_url, "links", "import", file(tmp_path, text)).startswith("2 links created")
    assert done(database_url, "links", "export") == (
        HEADER + "v-1,m-1,2026-05-01T00:00:00Z,\nv-2,m-2,2026-05-01T00:00:00Z,2026-06-01T00:00:00Z\n"
    )


async def test_every_bad_line_is_named_and_nothing_is_imported(database_url: str, tmp_path: Path) -> None:
    text = (
        GOOD
        + "v 1,,2026-05-01,2026-05-01T00:00:00\n"
        + "v-1,m-9,2026-05-01T00:00:00Z,2026-05-01T00:00:00Z\n"
        + "v-1,m-9,2026-05-01T00:00:00Z\n"
        + "v-1,m-9,,\n"
    )
    name = file(tmp_path, text)
    result = joulegate(database_url, "links", "import", name)
    assert (result.returncode, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert [line.removeprefix(name)[:23] for line in lines[:-1]] == [
        ", line 5: meterId: an i", ", line 5: validFrom: a ", ", line 5: validTo: the ", ", line 5: vehicleId: an",
        ", line 6: validTo: it m", ", line 7: 4 fields are ", ", line 8: validFrom: a ",
    ]  # fmt: skip
    assert lines[-1] == f"joulegate: nothing was changed: 7 errors in {name}"
    assert done(database_url, "links", "export") == HEADER


async def test_overlaps_in_the_file_and_with_the_database(database_url: str, tmp_path: Path) -> None:
    done(database_url, "links", "import", file(tmp_path, GOOD))
    text = (
        HEADER
        + "v-3,m-1,2026-05-01T00:00:00Z,2026-05-01T00:00:01Z\n"
        + "v-3,m-3,2026-05-01T00:00:00Z,\n"
        + "v-4,m-3,2027-05-01T00:00:00Z,\n"
    )
    for option in ("--dry-run", None):
        result = joulegate(database_url, "links", "import", file(tmp_path, text), *([option] if option else []))
        assert result.returncode == 1
        first, second, summary = result.stderr.splitlines()
        assert "line 2: meter m-1 already has a vehicle then: link " in first
        assert "in the database (vehicle v-1, from 2026-05-01T00:00:00Z to 2026-05-02T12:30:00.000001Z)" in first
        assert "line 4: meter m-3 already has a vehicle then: line 3 (vehicle v-3, from" in second
        assert "2 errors" in summary
        assert done(database_url, "links", "export") == GOOD


async def test_files_that_cannot_be_read(database_url: str, tmp_path: Path) -> None:
    for content, says in (
        (b"", "the header must be vehicleId,meterId,validFrom,validTo"),
        (b"vehicleId,meterId,validFrom\n", "the header must be"),
        (HEADER.encode() + b'v-1,"m-1\n', "line 2: unexpected end of data"),
        (HEADER.encode() + b"v-1,m-\xff,,\n", "is not UTF-8: byte 42"),
    ):
        result = joulegate(database_url, "links", "import", file(tmp_path, content))
        assert (result.returncode, result.stdout) == (1, "")
        assert says in result.stderr
        assert result.stderr.count("\n") == 1
    missing = joulegate(database_url, "links", "import", str(tmp_path / "none.csv"))
    assert (missing.returncode, missing.stderr.endswith("cannot be read: No such file or directory\n")) == (1, True)


async def test_a_hundred_thousand_lines(database_url: str, tmp_path: Path, db: asyncpg.Connection) -> None:
    """Each meter has two vehicles, one after the other; the second file ends some of what the first left open."""
    rows = [f"v-{n},m-{n},{at(0).isoformat()},{at(20).isoformat()}\n" for n in range(50_000)]
    opened = [f"v-{n + 1},m-{n},{at(20).isoformat()},\n" for n in range(50_000)]
    assert done(database_url, "links", "import", file(tmp_path, HEADER + "".join(rows + opened))) == (
        "100,000 links created, 0 changed, 0 as they were\n"
    )
    ended = [line.replace(",\n", f",{at(60).isoformat()}\n") for line in opened[:5000]]
    assert done(database_url, "links", "import", file(tmp_path, HEADER + "".join(ended))) == (
        "0 links created, 5,000 changed, 0 as they were\n"
    )
    assert await db.fetchval("select count(*) from links where upper(valid) = $1", at(60)) == 5000
    exported = done(database_url, "links", "export")
    assert exported.count("\n") == 100_001
    assert done(database_url, "links", "import", file(tmp_path, exported)).endswith("100,000 as they were\n")


async def test_a_database_that_is_away_is_one_line(tmp_path: Path) -> None:
    result = joulegate("postgresql://joulegate@127.0.0.1:1/none", "links", "list")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "JOULEGATE_DATABASE_URL" in result.stderr
