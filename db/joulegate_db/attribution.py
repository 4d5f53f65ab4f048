"""Whose AC it is (DESIGN section 4, rule 2), and sums over what is attributed. Pure functions over the evidence."""

from collections.abc import Iterable
from datetime import datetime
from math import fsum, isfinite

import msgspec

from joulegate_db.evidence import Evidence, MeterCell, OwnCell

PAIRED_FROM = 0.8
"""From this quotient of the two reading counts on, a bucket counts as covered by both streams."""


class Part(msgspec.Struct, frozen=True):
    """A meter's cell and the vehicle's part of its energy: `kwh` of AC. A part of nothing is a part."""

    cell: MeterCell
    kwh: float
    shared: bool


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


def attribute(evidence: Evidence) -> list[Part]:
    """The vehicle's part of every meter cell: in proportion to the DC that each vehicle there received, equally when none did."""
    own_dc = {(cell.charge_point, cell.bucket): cell.bucket_dc for cell in evidence.own}
    others = {(other.charge_point, other.bucket): other for other in evidence.sharers}
    parts = []
    for cell in evidence.meters:
        place = (cell.charge_point, cell.bucket)
        other = others.get(place)
        share = 1.0 if other is None else _share(own_dc[place], other.dc, other.vehicles)
        parts.append(Part(cell, cell.kwh * share, other is not None))
    return parts


def _share(own_dc: float, others_dc: float, others: int) -> float:
    total = own_dc + others_dc
    return own_dc / total if total else 1 / (1 + others)


def sums(own: Iterable[OwnCell], parts: Iterable[Part]) -> Sums:
    """Sums of what was measured. An energy without a reading behind it is None."""
    measured = [cell for cell in own if cell.readings]
    attributed = list(parts)
    return Sums(
        vehicle_readings=sum(cell.readings for cell in measured),
        meter_readings=sum(part.cell.readings for part in attributed),
        dc=fsum(cell.dc for cell in measured) if measured else None,
        ac=fsum(part.kwh for part in attributed) if attributed else None,
    )


def sums_of_paired_buckets(own: Iterable[OwnCell], parts: Iterable[Part]) -> Sums:
    """The same over the buckets in which both streams are covered, at whichever charge points the vehicle was."""
    cells: dict[datetime, tuple[list[OwnCell], list[Part]]] = {}
    for cell in own:
        cells.setdefault(cell.bucket, ([], []))[0].append(cell)
    for part in parts:
        cells.setdefault(part.cell.bucket, ([], []))[1].append(part)
    paired = [both for both in cells.values() if _is_paired(sums(*both))]
    return sums([cell for one, _ in paired for cell in one], [part for _, two in paired for part in two])


def _is_paired(bucket: Sums) -> bool:
    fewer, more = sorted((bucket.vehicle_readings, bucket.meter_readings))
    return more > 0 and fewer / more >= PAIRED_FROM
