"""What is declared about devices: stored, seen at once in the answers, computed anew by the roller, and on the command line."""

from pathlib import Path

import asyncpg
import pytest
from msgspec import UNSET

import declarations_support
from command_support import done, joulegate
from declarations_support import ROLLUP, check_answers, fleet_of, marked, roll, roll_all_marks
from http_support import Reading, meter, vehicle, write
from joulegate_core.settings import EnergyKind
from joulegate_core.telemetry import Stream
from joulegate_db.devices import Declaration, declare_devices, list_devices
from joulegate_db.rollups import Rollups

METER, VEHICLE = Stream.METER, Stream.VEHICLE
HEADER = "deviceId,kind,energy,maxKw\n"


rollups, declarer = declarations_support.rollups, declarations_support.declarer


def counters() -> list[Reading]:
    """A meter that counts up (a glitch at 20, a reset at 37) and a vehicle, both for 75 minutes."""
    values = [1000.0 + 0.5 * m for m in range(75)]
    values[20], values[37:] = 0.0, [0.5 * m for m in range(38)]
    return [r for m, value in enumerate(values) for r in (meter(m, value), vehicle(m, 0.4), vehicle(m, 0.1, "v-2"))]


async def declared(connection: asyncpg.Connection) -> list[tuple[Stream, str, EnergyKind | None, float | None]]:
    """All devices without when they were seen."""
    return [(one.kind, one.device, one.energy, one.max_kw) async for one in list_devices(connection, None)]


async def test_a_changed_kind_counts_at_once_and_after_the_roller(
    rollups: Rollups, declarer: asyncpg.Connection, database_url: str
) -> None:
    """Rolled before 45, open after that; there and back again, and a cap that turns every difference into a jump."""
    readings = counters()
    await write(database_url, readings)
    await roll(rollups, 45)
    before = await declarer.fetch(ROLLUP)
    changes: list[tuple[EnergyKind | None, float | None]] = [
        ("register", None), ("register", 20.0), (None, None), ("register", 2000.0), ("interval", 2000.0),
    ]  # fmt: skip
    for energy, cap in changes:
        assert await declare_devices(declarer, [Declaration(METER, "m-1", energy, cap)]) == [(METER, "m-1")]
        fleet = fleet_of(
            readings,
            energy_kinds={("meter", "m-1"): energy} if energy else {},
            max_kw_overrides={("meter", "m-1"): cap} if cap else {},
        )
        assert await marked(declarer) == {("m-1", 0), ("m-1", 15), ("m-1", 30)}
        await check_answers(database_url, fleet, [(0, 75), (18, 40), (47, 70)])
        await roll_all_marks(rollups)
        await check_answers(database_url, fleet, [(0, 75), (18, 40)])
    assert await declarer.fetch(ROLLUP) == before
    assert await declarer.fetchval("select count(*) from register_baselines") == 0


async def test_a_vehicles_kind_changes_the_shares(
    rollups: Rollups, declarer: asyncpg.Connection, database_url: str
) -> None:
    readings = counters()
    await write(database_url, readings)
    await roll(rollups, 75)
    await declare_devices(declarer, [Declaration(VEHICLE, "v-2", "register")])
    for _ in ("from history", "from rollups"):
        fleet = fleet_of(readings, energy_kinds={("vehicle", "v-2"): "register"})
        await check_answers(database_url, fleet, [(0, 75), (18, 40)])
        await roll_all_marks(rollups)
    assert await declarer.fetchval("select sum(kwh) from vehicle_rollup_15m where device = 'v-2'") == pytest.approx(0)


async def test_the_same_again_changes_and_marks_nothing(
    rollups: Rollups, declarer: asyncpg.Connection, database_url: str
) -> None:
    await write(database_url, counters())
    await roll(rollups, 75)
    wanted = [Declaration(METER, "m-1", "register"), Declaration(VEHICLE, "new", max_kw=50.0)]
    assert await declare_devices(declarer, wanted) == [(METER, "m-1"), (VEHICLE, "new")]
    await roll_all_marks(rollups)
    baselines = await declarer.fetchval("select count(*) from register_baselines")
    assert baselines == 5
    for again in (wanted, [Declaration(METER, "m-1"), Declaration(VEHICLE, "new", UNSET, UNSET)], []):
        assert await declare_devices(declarer, again) == []
    assert await marked(declarer) == set()
    assert await declarer.fetchval("select count(*) from register_baselines") == baselines


async def test_what_is_left_out_stays_as_it_is(declarer: asyncpg.Connection) -> None:
    for declaration in (
        Declaration(METER, "m-1", "register", 22.0),
        Declaration(METER, "m-1", max_kw=11.0),
        Declaration(VEHICLE, "m-1", "interval"),
        Declaration(METER, "m-1", energy=None),
    ):
        assert await declare_devices(declarer, [declaration]) == [declaration.key]
    assert await declared(declarer) == [(METER, "m-1", None, 11.0), (VEHICLE, "m-1", "interval", None)]
    assert [one.device async for one in list_devices(declarer, VEHICLE)] == ["m-1"]


async def test_a_declaration_does_not_disturb_what_writers_know(
    declarer: asyncpg.Connection, database_url: str
) -> None:
    await declare_devices(declarer, [Declaration(METER, "m-1", "register")])
    await write(database_url, [meter(1, 5.0), vehicle(1, 1.0)])
    assert await declared(declarer) == [(METER, "m-1", "register", None), (VEHICLE, "v-1", None, None)]


async def test_the_command_sets_one_device(database_url: str, rollups: Rollups, db: asyncpg.Connection) -> None:
    await write(database_url, counters())
    await roll(rollups, 75)
    arguments = ("devices", "set", "m-1", "--kind", "meter", "--energy", "register", "--max-kw", "22")
    assert done(database_url, *arguments) == "1 devices changed, 0 as they were\n"
    assert len(await marked(db)) == 5
    assert done(database_url, *arguments) == "0 devices changed, 1 as they were\n"
    table = done(database_url, "devices", "list", "--kind", "meter").splitlines()
    assert table[0].split() == ["kind", "device", "energy", "max", "kW", "first", "seen"]
    assert table[1].split()[:4] == ["meter", "m-1", "register", "22"]
    assert table[2:] == ["1 devices"]
    done(database_url, "devices", "set", "m-1", "--kind", "meter", "--energy", "default", "--max-kw", "default")
    assert done(database_url, "devices", "list").splitlines()[1].split()[:4] == ["meter", "m-1", "default", "default"]


async def test_the_command_sets_several_from_a_file(
    database_url: str, tmp_path: Path, declarer: asyncpg.Connection
) -> None:
    await declare_devices(declarer, [Declaration(METER, "m-2", "interval", 7.0)])
    path = tmp_path / "devices.csv"
    path.write_text(HEADER + "m-1,meter,register,22.5\nm-2,meter,register,\nm-1,vehicle,,default\n")
    for expected in ("3 devices changed, 0 as", "0 devices changed, 3 as"):
        assert done(database_url, "devices", "set", "--file", str(path)).startswith(expected)
    assert await declared(declarer) == [
        (METER, "m-1", "register", 22.5), (METER, "m-2", "register", 7.0), (VEHICLE, "m-1", None, None),
    ]  # fmt: skip


async def test_every_bad_line_is_named_and_nothing_is_changed(
    database_url: str, tmp_path: Path, declarer: asyncpg.Connection
) -> None:
    path = tmp_path / "devices.csv"
    lines = ("m-1,meter,register,22", "m 1,car,counter,0", "m-2,vehicle,,nan", "m-1,meter,interval,", "m-3,meter,,1e7")
    path.write_text(HEADER + "\n".join(lines))
    result = joulegate(database_url, "devices", "set", "--file", str(path))
    assert (result.returncode, result.stdout) == (1, "")
    named = [line.removeprefix(f"{path}, line ").split(": ")[:2] for line in result.stderr.splitlines()]
    assert named[:-1] == [
        ["3", "deviceId"], ["3", "energy"], ["3", "kind"], ["3", "maxKw"], ["4", "maxKw"], ["5", "deviceId"], ["6", "maxKw"],
    ]  # fmt: skip
    assert "this meter is declared in line 2 already" in result.stderr
    assert await declared(declarer) == []


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("m-1",), ("m-1", "--kind", "meter"), ("--kind", "meter", "--energy", "register"),
        ("m-1", "--kind", "car", "--energy", "register"), ("m-1", "--kind", "meter", "--energy", "counter"),
        ("m-1", "--kind", "meter", "--max-kw", "-1"), ("m 1", "--kind", "meter", "--max-kw", "1"),
        ("m-1", "--file", "devices.csv"),
    ],
)  # fmt: skip
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    result = joulegate("postgresql://joulegate@127.0.0.1:1/none", "devices", "set", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
