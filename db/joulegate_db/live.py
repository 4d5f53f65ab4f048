"""The newest measured state of devices: of one, and what is the same for many."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import asyncpg
import msgspec

from joulegate_core.telemetry import READING_INTERVAL_SECONDS, STALE_AFTER_INTERVALS, Stream
from joulegate_db.register_cells import RawRange, register_energies
from joulegate_db.roll_view import view_devices
from joulegate_db.sql import query
from joulegate_db.windows import Window

STALE_AFTER = timedelta(seconds=STALE_AFTER_INTERVALS * READING_INTERVAL_SECONDS)


class MeterState(msgspec.Struct, frozen=True):
    """A meter's newest reading: `kwh_consumed_ac` as published, `voltage` in V, times in UTC. `stale`: it is over five intervals old."""

    meter_id: str
    charge_point: str
    timestamp: datetime
    received_at: datetime
    kwh_consumed_ac: float
    voltage: float
    charging: bool
    stale: bool

    @property
    def device(self) -> str:
        """The id."""
        return self.meter_id


class VehicleState(msgspec.Struct, frozen=True):
    """A vehicle's newest reading: `soc` in %, `kwh_delivered_dc` as published, `battery_temp` in degrees Celsius, times in UTC.

    `stale`: it is over five intervals old.
    """

    vehicle_id: str
    charge_point: str
    timestamp: datetime
    received_at: datetime
    soc: float
    kwh_delivered_dc: float
    battery_temp: float
    charging: bool
    stale: bool

    @property
    def device(self) -> str:
        """The id."""
        return self.vehicle_id


StateT = TypeVar("StateT", bound=MeterState | VehicleState)


async def meter_state(connection: asyncpg.Connection, device: str, now: datetime) -> MeterState | None:
    """The meter's state at `now`, None for one that never reported. `connection` must be in one snapshot."""
    row = await connection.fetchrow(query("live_meter"), device, now - STALE_AFTER)
    return (await with_registers(connection, Stream.METER, [MeterState(**row)], [device]))[0] if row else None


async def vehicle_state(connection: asyncpg.Connection, device: str, now: datetime) -> VehicleState | None:
    """The vehicle's state at `now`, None for one that never reported. `connection` must be in one snapshot."""
    row = await connection.fetchrow(query("live_vehicle"), device, now - STALE_AFTER)
    return (await with_registers(connection, Stream.VEHICLE, [VehicleState(**row)], [device]))[0] if row else None


async def with_registers(
    connection: asyncpg.Connection, stream: Stream, states: Sequence[StateT], maybe: Collection[str]
) -> list[StateT]:
    """`states` with `charging` as registers have it: the newest reading's difference to the last accepted one is above zero.

    Args:
        connection: in the snapshot that the states are from.
        maybe: the devices that may be registers.
    """
    places = {state.device: place for place, state in enumerate(states) if not state.stale}
    views = await view_devices(connection, stream, [device for device in maybe if device in places])
    ranges = [
        RawRange(place, device, _only(states[place].timestamp), register)
        for device, place in places.items()
        if device in views and (register := views[device].register) is not None
    ]
    if not ranges:
        return list(states)
    worths = await register_energies(connection, stream, ranges)
    charging = {place for (place, *_), worth in worths.items() if worth["kwh"] > 0}
    changed = list(states)
    for one in ranges:
        changed[one.stay] = msgspec.structs.replace(states[one.stay], charging=one.stay in charging)
    return changed


def _only(moment: datetime) -> Window:
    return Window(moment, moment + timedelta(microseconds=1))
