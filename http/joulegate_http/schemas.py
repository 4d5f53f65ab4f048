"""The JSON of every answer: the one place that says what is on the wire. Keys are camelCase, times RFC 3339 in UTC.

The types mirror what the reader returns, attribute by attribute; `answer` converts one into the other.
"""

from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import field


class Wire(msgspec.Struct, frozen=True, rename="camel"):
    """Base of the types on the wire. A float that is not finite is encoded as null."""


class Window(Wire, frozen=True):
    """A half-open window, [from, to)."""

    start: datetime = field(name="from")
    end: datetime = field(name="to")


class Quality(Wire, frozen=True):
    """How far an answer can be trusted. `reason` says why something is null and what to do; it is null when nothing is missing."""

    pairing: Literal["none", "shared", "exclusive"]
    vehicle_readings: int
    meter_readings: int
    expected_readings: int
    coverage: float | None
    gap_minutes: float
    counter_resets: int
    reason: str | None
    paired_efficiency_ratio: float | None


class MeterEnergy(Wire, frozen=True):
    """One meter's AC that belongs to the vehicle, in kWh."""

    meter_id: str
    kwh_consumed_ac: float


class Performance(Wire, frozen=True):
    """GET /v1/analytics/performance/{vehicleId}. Energies in kWh, temperature in degrees Celsius; null is not known, never zero."""

    vehicle_id: str
    window: Window
    total_kwh_consumed_ac: float | None
    total_kwh_delivered_dc: float | None
    efficiency_ratio: float | None
    avg_battery_temp: float | None
    status: Literal["ok", "degraded", "implausible", "unknown"]
    quality: Quality
    meters: tuple[MeterEnergy, ...]


class Vehicle(Wire, frozen=True):
    """GET /v1/vehicles/{id}: the newest measured reading under the message's field names."""

    vehicle_id: str
    charge_point: str
    timestamp: datetime
    received_at: datetime
    soc: float
    kwh_delivered_dc: float
    battery_temp: float
    charging: bool


class Meter(Wire, frozen=True):
    """GET /v1/meters/{id}: the newest measured reading under the message's field names."""

    meter_id: str
    charge_point: str
    timestamp: datetime
    received_at: datetime
    kwh_consumed_ac: float
    voltage: float
    charging: bool


class Health(Wire, frozen=True):
    """GET /healthz and /readyz when all is well."""

    status: Literal["ok"] = "ok"


class Problem(Wire, frozen=True):
    """Every error, as application/problem+json (RFC 9457). `code` is stable and meant for programs; `requestId` is in the log."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str


WireT = TypeVar("WireT", bound=Wire)


def answer(kind: type[WireT], result: Any) -> WireT:
    """The reader's `result` as the type on the wire that has the same attributes."""
    return msgspec.convert(result, kind, from_attributes=True)
