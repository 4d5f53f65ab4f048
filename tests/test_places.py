"""Devices bound to charge points, and devices that report from two at once."""

import asyncpg
import pytest

from command_support import done, joulegate
from fleet_support import alerts_of, plant
from gateway_harness import Gateway, eventually, publisher
from gateway_harness import meter as message
from gateway_harness import vehicle as vehicle_message
from http_support import links_api, meter, vehicle
from joulegate_core.clock import utc_now
from joulegate_gateway import bindings


def alternating(device: str, first: int, *, cps: tuple[str, ...] = ("cp-1", "cp-2")) -> list[object]:
    """A quarter of an hour of a vehicle's readings at each of the charge points, all the time."""
    return [vehicle(first + n + 0.3 * i, 0.05, device, cp) for n in range(15) for i, cp in enumerate(cps)]


async def test_a_device_at_two_places_opens_an_alert_and_a_move_does_not(
    database_url: str, db: asyncpg.Connection
) -> None:
    async with plant(database_url) as fleet:
        await fleet.write(*alternating("v-two", 0))  # type: ignore[arg-type]
        await fleet.write(*alternating("v-three", 0, cps=("cp-3", "cp-4", "cp-5")))  # type: ignore[arg-type]
        await fleet.write(*(meter(n + 0.4 * (n % 2), 0.1, "m-two", f"cp-{n % 2}") for n in range(15)))
        moving = ["cp-1"] * 6 + ["cp-2", "cp-1", "cp-2", "cp-1"] + ["cp-2"] * 5  # past two clocks that differ
        await fleet.write(*(vehicle(n, 0.05, "v-moves", cp) for n, cp in enumerate(moving)))
        await fleet.write(*(vehicle(n, 0.05, "v-back", "cp-8" if 5 <= n <= 9 else "cp-7") for n in range(15)))
        await fleet.write(*(vehicle(n, 0.05, "v-stays", "cp-9") for n in range(90)))
        await fleet.settle(15)
        assert (await fleet.evaluate()).opened["two_places"] == 3
        assert "two_places" not in (await fleet.evaluate()).opened, "one is open"
        found = {one["device"]: one for one in await alerts_of(db, "two_places")}
        assert found.keys() == {"v-two", "v-three", "m-two"}
        assert (found["v-two"]["value"], found["v-two"]["device_kind"]) == (28, "vehicle")
        assert found["v-two"]["detail"].startswith("from cp-1 and cp-2 in turns: 28 times back within five minutes")
        await fleet.settle(60)
        assert "two_places" not in (await fleet.evaluate()).closed, "within the hour"
        await fleet.settle(90)
        assert (await fleet.evaluate()).closed["two_places"] == 3
        async with links_api(database_url, now=utc_now()) as client:
            answer = (await client.get("/v1/alerts?kind=two_places&state=closed")).json()
            assert {one["device"] for one in answer["alerts"]} == found.keys()
        await fleet.settle(60 * 26)
        await fleet.evaluate()
        assert await db.fetchval("select count(*) from place_turns") == 0, "old candidates are forgotten"


async def test_a_bound_device_is_accepted_at_its_place_only_and_replayed_once_it_is_bound_anew(
    gateway: Gateway, database_url: str, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bindings, "ROUND_SECONDS", 0.05)
    assert done(database_url, "devices", "bind", "m-1", "cp-1", "--kind", "meter") == "1 bound, 0 as they were\n"
    assert done(database_url, "devices", "bind", "m-1", "cp-1", "--kind", "meter") == "0 bound, 1 as they were\n"
    await gateway.start()
    async with publisher(gateway.broker) as publish:
        await publish("fleet/cp-1/meter", message("m-1"))
        await publish("fleet/cp-2/meter", message("m-1", kwhConsumedAc=2.0))
        await publish("fleet/cp-2/meter", message("m-2"))
        await publish("fleet/cp-2/vehicle", vehicle_message("m-1"))  # a vehicle with the meter's id is another device
        assert await gateway.settle(4) == {"committed": 3, "duplicate": 0, "quarantined": 1}
        [row] = await db.fetch("select id, reason, detail, topic from quarantine")
        assert (row["reason"], row["detail"]) == ("wrong_place", "meterId is bound to charge point cp-1")
        refused = done(database_url, "quarantine", "replay", "--id", str(row["id"]), "--json")
        assert '"wrong_place":1' in refused.replace(" ", "")
        done(database_url, "devices", "bind", "m-1", "cp-2", "--kind", "meter")
        replayed = done(database_url, "quarantine", "replay", "--id", str(row["id"]), "--json")
        assert '"committed":1' in replayed.replace(" ", "")
        settled = 4

        async def holds() -> bool:  # the running gateway follows
            nonlocal settled
            await publish("fleet/cp-1/meter", message("m-1"))
            settled += 1
            await gateway.settle(settled)
            return bool(await db.fetchval("select count(*) from quarantine"))

        await eventually(holds)
        done(database_url, "devices", "unbind", "m-1", "--kind", "meter")
        committed = await db.fetchval("select count(*) from meter_history where device = 'm-1'")

        async def free() -> bool:
            nonlocal settled
            await publish("fleet/cp-5/meter", message("m-1"))
            settled += 1
            await gateway.settle(settled)
            return bool(await db.fetchval("select count(*) from meter_history where device = 'm-1'") > committed)

        await eventually(free)


def test_the_command_says_what_is_wrong(database_url: str) -> None:
    for arguments, words in (
        (("bind", "m 1", "cp-1", "--kind", "meter"), "m 1"),
        (("bind", "m-1", "cp/1", "--kind", "meter"), "cp/1"),
        (("bind", "m-1", "--kind", "meter"), "CHARGE_POINT"),
    ):
        refused = joulegate(database_url, "devices", *arguments)
        assert refused.returncode == 2
        assert words in refused.stderr or "1 to 64" in refused.stderr
    not_there = joulegate(database_url, "devices", "unbind", "m-1", "--kind", "meter")
    assert (not_there.returncode, not_there.stderr) == (1, "joulegate: the meter m-1 is not bound\n")
    done(database_url, "devices", "bind", "m-1", "cp-1", "--kind", "meter")
    assert "cp-1" in done(database_url, "devices", "bindings")
