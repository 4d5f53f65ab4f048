"""The JSON of every answer: the one place that says what is on the wire. Keys are camelCase, times RFC 3339 in UTC.

The types mirror what the reader returns, attribute by attribute; `answer` converts one into the other.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from joulegate_core.telemetry import ID_PATTERN
from joulegate_http.codes import Code

Id = Annotated[
    str,
    Meta(
        description="A device's id, as in its messages.", extra_json_schema={"pattern": ID_PATTERN.replace(r"\Z", "$")}
    ),
]
VehicleId = Annotated[Id, Meta(description="A vehicle's id, as in its messages.", examples=["v-1"])]
MeterId = Annotated[Id, Meta(description="A meter's id, as in its messages.", examples=["m-1"])]
ChargePoint = Annotated[str, Meta(description="Where it was: the `+` of the topic `fleet/+/...`.", examples=["cp-1"])]
Kwh = Annotated[float, Meta(description="Energy in kWh.")]
Ratio = Annotated[float, Meta(description="DC/AC, without unit; 1 is no loss.")]
Share = Annotated[float, Meta(description="A share, from 0 to 1.")]
Celsius = Annotated[float, Meta(description="Degrees Celsius.")]
Percent = Annotated[float, Meta(description="Per cent, from 0 to 100.")]
Volts = Annotated[float, Meta(description="Volts.")]
Minutes = Annotated[float, Meta(description="Minutes.")]
Sentence = Annotated[str, Meta(description="For a person.")]
NextCursor = Annotated[str, Meta(description="`cursor` of the next page; null on the last one.")]
Bucket = Literal["15m", "1h", "1d"]
Pairing = Annotated[
    Literal["none", "shared", "exclusive", "link"],
    Meta(description="How AC was matched to the vehicle: the weakest of the quarters of an hour that it is made of."),
]
Status = Annotated[
    Literal["ok", "degraded", "implausible", "unknown"],
    Meta(description="`degraded`: a ratio under 0.85. `implausible`: more DC than AC. `unknown`: no ratio."),
]


class Wire(msgspec.Struct, frozen=True, rename="camel"):
    """Base of the types on the wire. A float that is not finite is encoded as null."""


class Window(Wire, frozen=True):
    """A half-open window, [from, to)."""

    start: datetime = field(name="from")
    end: datetime = field(name="to")


class Quality(Wire, frozen=True):
    """How far an answer can be trusted.

    Readings are counts, of one expected a minute; `coverage` is the vehicle's share of them. What registers did: `counterResets`,
    `glitches`, `jumps`, and `recovered` gaps. `lateShare`: of readings that came more than five minutes late. `reason` says why
    something is null and what to do. The status is judged on `pairedEfficiencyRatio` when there is one: the quarters of an hour in
    which both streams are complete to 80 %.
    """

    pairing: Pairing
    vehicle_readings: int
    meter_readings: int
    expected_readings: int
    coverage: Share | None
    gap_minutes: Minutes
    counter_resets: int
    glitches: int
    jumps: int
    recovered: int
    late_share: Share | None
    reason: Sentence | None
    paired_efficiency_ratio: Ratio | None


class MeterEnergy(Wire, frozen=True):
    """One meter's AC that belongs to the vehicle, in kWh."""

    meter_id: MeterId
    kwh_consumed_ac: Kwh


class Performance(Wire, frozen=True):
    """A vehicle's energies over a window, and their ratio. Null is not known, never zero. `avgBatteryTemp` is the mean over readings."""

    vehicle_id: VehicleId
    window: Window
    total_kwh_consumed_ac: Kwh | None
    total_kwh_delivered_dc: Kwh | None
    efficiency_ratio: Ratio | None
    avg_battery_temp: Celsius | None
    status: Status
    quality: Quality
    meters: tuple[MeterEnergy, ...]


class SeriesPoint(Wire, frozen=True):
    """One step of a series: the performance answer for its own window, and the last state of charge in it."""

    window: Window
    total_kwh_consumed_ac: Kwh | None
    total_kwh_delivered_dc: Kwh | None
    efficiency_ratio: Ratio | None
    avg_battery_temp: Celsius | None
    status: Status
    quality: Quality
    soc: Percent | None


class Series(Wire, frozen=True):
    """Performance in steps of `bucket`, cut at UTC multiples of it; the first and the last may be shorter."""

    vehicle_id: VehicleId
    window: Window
    bucket: Bucket
    points: tuple[SeriesPoint, ...]


class Vehicle(Wire, frozen=True):
    """A vehicle's newest measured reading under the message's field names.

    `charging`: with energy, and at most 5 minutes old. `stale`: older than that.
    """

    vehicle_id: VehicleId
    charge_point: ChargePoint
    timestamp: datetime
    received_at: datetime
    soc: Percent
    kwh_delivered_dc: Kwh
    battery_temp: Celsius
    charging: bool
    stale: bool


class ListedVehicle(Vehicle, frozen=True):
    """The same, and the vehicle's last 24 hours of summed quarters; `unknown`, `none` and 0 where there are none."""

    efficiency_ratio: Ratio | None
    status: Status
    pairing: Pairing
    coverage: Share


class Vehicles(Wire, frozen=True):
    """A page of vehicles, in the order of their ids."""

    vehicles: tuple[ListedVehicle, ...]
    next_cursor: NextCursor | None


class Meter(Wire, frozen=True):
    """A meter's newest measured reading under the message's field names.

    `charging`: with energy, and at most 5 minutes old. `stale`: older than that.
    """

    meter_id: MeterId
    charge_point: ChargePoint
    timestamp: datetime
    received_at: datetime
    kwh_consumed_ac: Kwh
    voltage: Volts
    charging: bool
    stale: bool


class Meters(Wire, frozen=True):
    """A page of meters, in the order of their ids."""

    meters: tuple[Meter, ...]
    next_cursor: NextCursor | None


class Link(Wire, frozen=True):
    """A meter that measures a vehicle for the half-open time [validFrom, validTo); null: without end."""

    id: int
    vehicle: VehicleId = field(name="vehicleId")
    meter: MeterId = field(name="meterId")
    valid_from: datetime
    valid_to: datetime | None
    created_at: datetime


class Links(Wire, frozen=True):
    """A page of links, in order of their ids."""

    links: tuple[Link, ...]
    next_cursor: NextCursor | None


class LinkBody(Wire, frozen=True, forbid_unknown_fields=True):
    """A link as it is wanted. It is the same when vehicle, meter and `validFrom` are: then its end is changed."""

    vehicle_id: VehicleId
    meter_id: MeterId
    valid_from: Annotated[datetime, Meta(tz=True)]
    valid_to: Annotated[datetime, Meta(tz=True)] | None = None


class PairingEvidence(Wire, frozen=True):
    """What speaks for the suggested meter. Errors are shares of energy that does not match, 0 to 1; ratios are DC/AC."""

    slots: int
    sessions: int
    present_error: Share | None
    suggested_error: Share
    margin: Share | None
    next_error: Share | None
    present_ratio: Ratio | None
    suggested_ratio: Ratio | None


class PairingFinding(Wire, frozen=True):
    """A vehicle whose charging follows another meter than its own. `swappedWith`: has the suggested meter, should have the present one."""

    vehicle_id: VehicleId
    kind: Literal["mispaired", "unmetered"]
    present_meter_id: MeterId | None
    suggested_meter_id: MeterId
    swapped_with: VehicleId | None
    evidence: PairingEvidence
    suggestion: LinkBody
    sentence: Sentence


class Pairings(Wire, frozen=True):
    """Vehicles that seem to have another meter than theirs: `found` of those `judged`; `findings` lists the clearest.

    `notJudged` counts vehicles by reason.
    """

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

    vehicle_id: VehicleId
    ratio: Ratio
    total_kwh_consumed_ac: Kwh
    total_kwh_delivered_dc: Kwh
    coverage: Share
    pairing: Pairing
    status: Status
    reason: Sentence


class Fleet(Wire, frozen=True):
    """The fleet over a window. `window` is what was summed, whole rolled buckets; `note` says why it is not what was requested."""

    requested: Window
    window: Window
    note: Sentence | None
    total_kwh_consumed_ac: Kwh | None
    total_kwh_delivered_dc: Kwh | None
    unattributed_kwh_ac: Kwh
    efficiency_ratio: Ratio | None
    paired_efficiency_ratio: Ratio | None
    counts: FleetCounts
    distribution: tuple[FleetBin, ...]
    worst: tuple[FleetWorst, ...]


class MinutePower(Wire, frozen=True):
    """Mean power of the minute that begins at `from`, in kW; null where no reading of that stream came."""

    start: datetime = field(name="from")
    ac_kw: float | None
    dc_kw: float | None


class Power(Wire, frozen=True):
    """The fleet's power in the last whole minutes, oldest first: AC drawn, DC delivered. Empty without any reading."""

    points: tuple[MinutePower, ...]


class Alert(Wire, frozen=True):
    """One alert. `value`, `threshold` and `detail` are as at opening; closed fields are null while it is open."""

    id: int
    kind: Literal["low_efficiency", "implausible", "register_reset", "silent_device", "two_places"]
    device: Id
    device_kind: Literal["meter", "vehicle"]
    opened_at: datetime
    closed_at: datetime | None
    value: float | None
    threshold: float
    detail: Sentence
    closed_because: Sentence | None


class Alerts(Wire, frozen=True):
    """A page of alerts, newest first."""

    alerts: tuple[Alert, ...]
    next_cursor: NextCursor | None


class QuarantinedItem(Wire, frozen=True):
    """A message that could not be accepted, and why. `payload` is text: what is not UTF-8 is replaced, beyond 8 KiB it is cut.

    `count`: how often it came.
    """

    id: int
    reason: str
    detail: Sentence
    topic: str
    payload: str
    payload_truncated: bool
    count: int
    first_seen: datetime
    last_seen: datetime


class QuarantineTotal(Wire, frozen=True):
    """What is kept of a reason: `rows` for `messages`. `overflowed`: messages that were only counted, beyond the cap."""

    reason: str
    rows: int
    messages: int
    overflowed: int


class Quarantine(Wire, frozen=True):
    """A page of quarantine, newest first, and the totals of all reasons."""

    items: tuple[QuarantinedItem, ...]
    next_cursor: NextCursor | None
    totals: tuple[QuarantineTotal, ...]


class Replayed(Wire, frozen=True):
    """What became of a message that was tried again. `reason` and `detail` say why it stays in quarantine; null when it has left."""

    outcome: Literal["committed", "duplicate", "quarantined"]
    reason: str | None
    detail: Sentence | None


class Hello(Wire, frozen=True):
    """The stream's first event. `resumed`: what was missed since Last-Event-ID follows."""

    time: datetime
    resumed: bool


class VehiclesChanged(Wire, frozen=True):
    """Vehicles whose newest measured reading is another one than before."""

    vehicles: tuple[Vehicle, ...]


class MetersChanged(Wire, frozen=True):
    """Meters whose newest measured reading is another one than before."""

    meters: tuple[Meter, ...]


class AlertsChanged(Wire, frozen=True):
    """Alerts that were opened, and alerts that were closed."""

    opened: tuple[Alert, ...]
    closed: tuple[Alert, ...]


class Gateway(Wire, frozen=True):
    """What a gateway said of itself last, at `beatAt`; `alive`: at most 15 s ago.

    `gateway` is a stable name that does not tell the client id. Counts are messages since `startedAt`; `ratePerSecond` is of those that
    were settled between the last two beats; `lagSeconds` is from arrival to commit, for the oldest message of the last batch.
    """

    gateway: str
    host: str
    version: str
    started_at: datetime
    beat_at: datetime
    alive: bool
    received: int
    committed: int
    duplicate: int
    quarantined: int
    pending: int
    rate_per_second: float
    lag_seconds: float


class Gateways(Wire, frozen=True):
    """All gateways that have not left."""

    gateways: tuple[Gateway, ...]


class Health(Wire, frozen=True):
    """All is well."""

    status: Literal["ok"] = "ok"


class Problem(Wire, frozen=True):
    """Every error, as application/problem+json (RFC 9457). `code` is stable and meant for programs; `requestId` is in the log."""

    type: str
    title: str
    status: int
    detail: Sentence
    instance: str
    code: Code
    request_id: str
    link: Link | UnsetType = UNSET
    """The link in the way, where one is."""


WireT = TypeVar("WireT", bound=Wire)


def answer(kind: type[WireT], result: Any) -> WireT:
    """The reader's `result` as the type on the wire that has the same attributes."""
    return msgspec.convert(result, kind, from_attributes=True)
