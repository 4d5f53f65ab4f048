"""The JSON of every answer: the one place that says what is on the wire. Keys are camelCase, times RFC 3339 in UTC.

The types mirror what the reader returns, attribute by attribute; `answer` converts one into the other.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType, field


class Wire(msgspec.Struct, frozen=True, rename="camel"):
    """Base of the types on the wire. A float that is not finite is encoded as null."""


class Window(Wire, frozen=True):
    """A half-open window, [from, to)."""

    start: datetime = field(name="from")
    end: datetime = field(name="to")


class Quality(Wire, frozen=True):
    """How far an answer can be trusted. `reason` says why something is null and what to do; it is null when nothing is missing."""

    pairing: Literal["none", "shared", "exclusive", "link"]
    vehicle_readings: int
    meter_readings: int
    expected_readings: int
    coverage: float | None
    gap_minutes: float
    counter_resets: int
    glitches: int
    jumps: int
    recovered: int
    late_share: float | None
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


class SeriesPoint(Wire, frozen=True):
    """One step of a series: the performance answer for its own window."""

    window: Window
    total_kwh_consumed_ac: float | None
    total_kwh_delivered_dc: float | None
    efficiency_ratio: float | None
    avg_battery_temp: float | None
    status: Literal["ok", "degraded", "implausible", "unknown"]
    quality: Quality


class Series(Wire, frozen=True):
    """GET /v1/analytics/performance/{vehicleId}/series. `bucket` is 15m, 1h or 1d; steps are cut at UTC multiples of it."""

    vehicle_id: str
    window: Window
    bucket: str
    points: tuple[SeriesPoint, ...]


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


class Link(Wire, frozen=True):
    """GET /v1/links/{id}, and the answer to a PUT: a half-open validity, [validFrom, validTo); null: without end."""

    id: int
    vehicle: str = field(name="vehicleId")
    meter: str = field(name="meterId")
    valid_from: datetime
    valid_to: datetime | None
    created_at: datetime


class Links(Wire, frozen=True):
    """GET /v1/links: a page. `nextCursor` is null on the last one."""

    links: tuple[Link, ...]
    next_cursor: str | None


class LinkBody(Wire, frozen=True, forbid_unknown_fields=True):
    """PUT /v1/links. A link is the same when vehicle, meter and validFrom are: then its end is changed."""

    vehicle_id: str
    meter_id: str
    valid_from: Annotated[datetime, Meta(tz=True)]
    valid_to: Annotated[datetime, Meta(tz=True)] | None = None


class PairingEvidence(Wire, frozen=True):
    """What speaks for the suggested meter. Errors are shares of energy that does not match, 0 to 1; ratios are DC/AC."""

    slots: int
    sessions: int
    present_error: float | None
    suggested_error: float
    margin: float | None
    next_error: float | None
    present_ratio: float | None
    suggested_ratio: float | None


class PairingFinding(Wire, frozen=True):
    """A vehicle whose charging follows another meter than its own. `swappedWith`: has the suggested meter, should have the present one."""

    vehicle_id: str
    kind: Literal["mispaired", "unmetered"]
    present_meter_id: str | None
    suggested_meter_id: str
    swapped_with: str | None
    evidence: PairingEvidence
    suggestion: LinkBody
    sentence: str


class Pairings(Wire, frozen=True):
    """GET /v1/analytics/pairing. `found` findings, of which `findings` lists the clearest; `notJudged` counts vehicles by reason."""

    window: Window
    vehicles: int
    judged: int
    not_judged: dict[str, int]
    found: int
    findings: tuple[PairingFinding, ...]


class FleetCounts(Wire, frozen=True):
    """How many: now (the first five; silent: no reading for five intervals), and vehicles by their status in the window."""

    vehicles: int
    meters: int
    charging: int
    silent_vehicles: int
    silent_meters: int
    ok: int
    degraded: int
    implausible: int
    unknown: int


class FleetBin(Wire, frozen=True):
    """How many vehicles have a ratio in [from, to); `to` is null in the last bin."""

    start: float = field(name="from")
    end: float | None = field(name="to")
    vehicles: int


class FleetWorst(Wire, frozen=True):
    """A vehicle with a low ratio; `ratio` is what its status is judged on."""

    vehicle_id: str
    ratio: float
    total_kwh_consumed_ac: float
    total_kwh_delivered_dc: float
    coverage: float
    pairing: Literal["none", "shared", "exclusive", "link"]
    status: Literal["ok", "degraded", "implausible", "unknown"]
    reason: str


class Fleet(Wire, frozen=True):
    """GET /v1/analytics/fleet. `window` is what was summed, whole rolled buckets; `note` says why it is not what was requested."""

    requested: Window
    window: Window
    note: str | None
    total_kwh_consumed_ac: float | None
    total_kwh_delivered_dc: float | None
    unattributed_kwh_ac: float
    efficiency_ratio: float | None
    paired_efficiency_ratio: float | None
    counts: FleetCounts
    distribution: tuple[FleetBin, ...]
    worst: tuple[FleetWorst, ...]


class Alert(Wire, frozen=True):
    """One alert. `value`, `threshold` and `detail` are as at opening; closed fields are null while it is open."""

    id: int
    kind: Literal["low_efficiency", "implausible", "register_reset", "silent_device"]
    device: str
    device_kind: Literal["meter", "vehicle"]
    opened_at: datetime
    closed_at: datetime | None
    value: float | None
    threshold: float
    detail: str
    closed_because: str | None


class Alerts(Wire, frozen=True):
    """GET /v1/alerts: a page, newest first. `nextCursor` is null on the last one."""

    alerts: tuple[Alert, ...]
    next_cursor: str | None


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
    link: Link | UnsetType = UNSET
    """The link in the way, where one is."""


WireT = TypeVar("WireT", bound=Wire)


def answer(kind: type[WireT], result: Any) -> WireT:
    """The reader's `result` as the type on the wire that has the same attributes."""
    return msgspec.convert(result, kind, from_attributes=True)
