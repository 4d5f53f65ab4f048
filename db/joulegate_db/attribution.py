"""Whose AC it is (docs/energy.md), and sums over what is attributed. Pure functions over the evidence."""

from collections.abc import Iterable
from datetime import datetime
from math import fsum, isfinite
from typing import Literal

import msgspec

from joulegate_db.cells import Cell
from joulegate_db.evidence import Evidence

PAIRED_FROM = 0.8
"""From this quotient of the two reading counts on, a bucket counts as covered by both streams."""

Pairing = Literal["none", "shared", "exclusive", "link"]
"""How AC was attributed, from the weakest to the strongest."""

Place = tuple[str, datetime]
"""A charge point and a bucket."""


class Part(msgspec.Struct, frozen=True):
    """A meter's cell and the vehicle's part of its energy: `kwh` of AC. A part of nothing is a part."""

    cell: Cell
    kwh: float
    pairing: Pairing


class Sums(msgspec.Struct, frozen=True):
    """Counts of readings, DC and AC in kWh, over one bucket or many."""

    vehicle_readings: int
    meter_readings: int
    dc: float | None
    ac: float | None

    @property
    def ratio(self) -> float | None:
        """DC/AC; None when either is not known, when AC is 0, and when it is so little that the quotient overflows."""
        ratio = self.dc / self.ac if self.dc is not None and self.ac else None
        return ratio if ratio is not None and isfinite(ratio) else None

    @property
    def is_paired(self) -> bool:
        """Whether both streams are covered, when the sums are of one bucket."""
        fewer, more = sorted((self.vehicle_readings, self.meter_readings))
        return more > 0 and fewer / more >= PAIRED_FROM


def attribute(evidence: Evidence) -> list[Part]:
    """The vehicle's part of every meter cell: all of a linked meter's; of a pool's, in proportion to the DC that each
    vehicle there received, equally when none did; none in buckets in which its own linked meter reported."""
    parts = [Part(cell, cell.kwh, "link") for cell in evidence.linked]
    shares = _shares(evidence)
    for cell in evidence.pooled:
        if cell.bucket not in evidence.own_meter:
            share, pairing = shares[cell.charge_point, cell.bucket]
            parts.append(Part(cell, cell.kwh * share, pairing))
    return parts


def _shares(evidence: Evidence) -> dict[Place, tuple[float, Pairing]]:
    """The vehicle's share of each pool that it may be in. Vehicles whose own linked meter reported have left it."""
    others: dict[Place, list[float]] = {(cell.charge_point, cell.bucket): [] for cell in evidence.own}
    for cell in evidence.sharers:
        if (cell.device, cell.bucket) not in evidence.others_meter:
            others[cell.charge_point, cell.bucket].append(cell.bucket_kwh)
    return {
        (cell.charge_point, cell.bucket): _share(cell.bucket_kwh, others[cell.charge_point, cell.bucket])
        for cell in evidence.own
    }


def _share(own_dc: float, others_dc: list[float]) -> tuple[float, Pairing]:
    if not others_dc:
        return 1.0, "exclusive"
    total = fsum((own_dc, *others_dc))
    return own_dc / total if total else 1 / (1 + len(others_dc)), "shared"


def sums(own: Iterable[Cell], parts: Iterable[Part]) -> Sums:
    """Sums of what was measured. An energy without a reading behind it is None."""
    measured = [cell for cell in own if cell.readings]
    attributed = list(parts)
    return Sums(
        vehicle_readings=sum(cell.readings for cell in measured),
        meter_readings=sum(part.cell.readings for part in attributed),
        dc=fsum(cell.kwh for cell in measured) if measured else None,
        ac=fsum(part.kwh for part in attributed) if attributed else None,
    )


def sums_of_paired_buckets(own: Iterable[Cell], parts: Iterable[Part]) -> Sums:
    """The same over the buckets in which both streams are covered, at whichever charge points the vehicle was."""
    cells: dict[datetime, tuple[list[Cell], list[Part]]] = {}
    for cell in own:
        cells.setdefault(cell.bucket, ([], []))[0].append(cell)
    for part in parts:
        cells.setdefault(part.cell.bucket, ([], []))[1].append(part)
    paired = [both for both in cells.values() if sums(*both).is_paired]
    return sums([cell for one, _ in paired for cell in one], [part for _, two in paired for part in two])
