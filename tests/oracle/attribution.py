"""Section 4: whose the energy of each meter reading is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import fsum

from oracle.energy import Judged, Outcome, PointT, energies
from oracle.model import Fleet, Link, MeterPoint, Stream, VehiclePoint

BUCKET = timedelta(minutes=15)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Pairing(StrEnum):
    """How a meter reading was given to a vehicle, from the weakest to the strongest."""

    NONE = "none"
    SHARED = "shared"
    EXCLUSIVE = "exclusive"
    LINK = "link"


@dataclass(frozen=True)
class Attribution:
    """A meter reading, its energy, and each vehicle's part of it in kWh: they sum to `energy`, or there are none.

    A part of 0 kWh is a part: the reading is attributed to that vehicle too (interpretation 12).
    """

    reading: MeterPoint
    energy: float
    outcome: Outcome
    pairing: Pairing
    parts: Mapping[str, float]


def bucket_of(ts: datetime) -> datetime:
    """The beginning of the 15-minute UTC bucket that `ts` is in."""
    return EPOCH + (ts - EPOCH) // BUCKET * BUCKET


def attributions(fleet: Fleet) -> list[Attribution]:
    """Every meter reading of the whole history with the vehicles it belongs to. No window exists here."""
    received = dc_received(fleet)
    own_meter_reported = vehicles_with_own_meter(fleet)
    result = []
    for reading, energy, outcome in meter_energies(fleet):
        bucket = bucket_of(reading.ts)
        link = link_of(fleet, reading)
        if link is not None:
            pairing, parts = Pairing.LINK, {link.vehicle: energy}
        else:
            present = received.get((reading.charge_point, bucket), {})
            pool = {v: dc for v, dc in present.items() if (v, bucket) not in own_meter_reported}
            pairing, parts = pool_pairing(pool), split(energy, pool)
        result.append(Attribution(reading, energy, outcome, pairing, parts))
    return result


def dc_received(fleet: Fleet) -> dict[tuple[str, datetime], dict[str, float]]:
    """By charge point and bucket: the vehicles present (one reading suffices, whatever its DC) and their DC there."""
    found: dict[tuple[str, datetime], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for reading, energy, _ in vehicle_energies(fleet):
        found[reading.charge_point, bucket_of(reading.ts)][reading.device].append(energy)
    return {place: {v: fsum(kwh) for v, kwh in present.items()} for place, present in found.items()}


def vehicles_with_own_meter(fleet: Fleet) -> set[tuple[str, datetime]]:
    """(vehicle, bucket) where a meter reported under a link to the vehicle: there it has left all pools."""
    found = set()
    for reading in fleet.meters:
        link = link_of(fleet, reading)
        if link is not None:
            found.add((link.vehicle, bucket_of(reading.ts)))
    return found


def link_of(fleet: Fleet, reading: MeterPoint) -> Link | None:
    """The link valid for this meter at the reading's timestamp; the fleet holds at most one."""
    return next((link for link in fleet.links if link.covers(reading)), None)


def pool_pairing(pool: Mapping[str, float]) -> Pairing:
    """By the number of vehicles that share the energy; the number of meters does not matter."""
    if not pool:
        return Pairing.NONE
    return Pairing.EXCLUSIVE if len(pool) == 1 else Pairing.SHARED


def split(energy: float, pool: Mapping[str, float]) -> dict[str, float]:
    """`energy` split over the vehicles of `pool` in proportion to their DC, equally when none received any."""
    total = fsum(pool.values())
    if total == 0:
        return {vehicle: energy / len(pool) for vehicle in pool}
    return {vehicle: energy * (dc / total) for vehicle, dc in pool.items()}


def meter_energies(fleet: Fleet) -> list[Judged[MeterPoint]]:
    """The energy of every meter reading of the history, device by device."""
    return _by_device(fleet, "meter", fleet.meters)


def vehicle_energies(fleet: Fleet) -> list[Judged[VehiclePoint]]:
    """The energy of every vehicle reading of the history, device by device."""
    return _by_device(fleet, "vehicle", fleet.vehicles)


def _by_device(fleet: Fleet, stream: Stream, readings: Iterable[PointT]) -> list[Judged[PointT]]:
    devices: dict[str, list[PointT]] = defaultdict(list)
    for reading in readings:
        devices[reading.device].append(reading)
    return [
        judged
        for device, points in devices.items()
        for judged in energies(
            points, fleet.energy_kind(stream, device), fleet.device_max_kw(stream, device), fleet.lookback
        )
    ]
