"""The newest measured state of one device."""

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
    """A meter's newest reading: `kwh_consumed_ac` as published, `voltage` in V, times in UTC."""

    meter_id: str
    charge_point: str
    timestamp: datetime
    received_at: datetime
    kwh_consumed_ac: float
    voltage: float
    charging: bool


class VehicleState(msgspec.Struct, frozen=True):
    """A vehicle's newest reading: `soc` in %, `kwh_delivered_dc` as published, `battery_temp` in degrees Celsius, times in UTC."""

    vehicle_id: str
    charge_point: str
    timestamp: datetime
    received_at: datetime
    soc: float
    kwh_delivered_dc: float
    battery_temp: float
    charging: bool


StateT = TypeVar("StateT", MeterState, VehicleState)


async def meter_state(connection: asyncpg.Connection, device: str, now: datetime) -> MeterState | None:
    """The meter's state at `now`, None for one that never reported. `connection` must be in one snapshot."""
    row = await connection.fetchrow(query("live_meter"), device, now - STALE_AFTER)
    return await _with_register(connection, Stream.METER, device, MeterState(**row), now) if row else None


async def vehicle_state(connection: asyncpg.Connection, device: str, now: datetime) -> VehicleState | None:
    """The vehicle's state at `now`, None for one that never reported. `connection` must be in one snapshot."""
    row = await connection.fetchrow(query("live_vehicle"), device, now - STALE_AFTER)
    return await _with_register(connection, Stream.VEHICLE, device, VehicleState(**row), now) if row else None


async def _with_register(
    connection: asyncpg.Connection, stream: Stream, device: str, state: StateT, now: datetime
) -> StateT:
    """A register's newest reading says that it charges when its difference to the last accepted one is above zero."""
    register = (await view_devices(connection, stream, [device]))[device].register
    if register is None or state.timestamp < now - STALE_AFTER:
        return state
    newest = RawRange(0, device, Window(state.timestamp, state.timestamp + timedelta(microseconds=1)), register)
    worths = await register_energies(connection, stream, [newest])
    return msgspec.structs.replace(state, charging=any(worth["kwh"] > 0 for worth in worths.values()))
