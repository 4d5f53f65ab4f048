"""The newest measured state of one device."""

from datetime import datetime, timedelta

import asyncpg
import msgspec

from joulegate_core.telemetry import READING_INTERVAL_SECONDS, STALE_AFTER_INTERVALS
from joulegate_db.sql import query

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


async def meter_state(connection: asyncpg.Connection, device: str, now: datetime) -> MeterState | None:
    """The meter's state at `now`, None for one that never reported."""
    row = await connection.fetchrow(query("live_meter"), device, now - STALE_AFTER)
    return MeterState(**row) if row else None


async def vehicle_state(connection: asyncpg.Connection, device: str, now: datetime) -> VehicleState | None:
    """The vehicle's state at `now`, None for one that never reported."""
    row = await connection.fetchrow(query("live_vehicle"), device, now - STALE_AFTER)
    return VehicleState(**row) if row else None
