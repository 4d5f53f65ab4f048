"""Which meter a vehicle's AC is taken from at present, and whether that can be judged (the rules of docs/energy.md, by bucket)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from joulegate_db.shapes import Shape

FEWEST_BUCKETS = 2
FEWEST_EDGES = 2
"""A start and a stop, say. Without them a shape is a level, and every meter of that level fits."""

NotJudged = Literal[
    "did_not_charge",
    "too_little_charging",
    "several_meters",
    "shared_charge_point",
    "too_few_common_readings",
    "too_many_to_examine",
]
"""Why a vehicle cannot be judged."""


class Present(msgspec.Struct, frozen=True):
    """The meters that measure a vehicle's charging at present, and why that cannot be judged, None when it can."""

    meters: frozenset[str]
    not_judged: NotJudged | None

    @property
    def meter(self) -> str | None:
        """The one meter; None when there is none."""
        return next(iter(self.meters), None)


Stays = dict[str, list[tuple[str, int]]]
"""By charge point, or by linked vehicle: devices, and in which buckets."""


class Places:
    """Who is where. Buckets are bits."""

    def __init__(self, vehicles: Mapping[str, Shape], meters: Iterable[Shape]) -> None:
        self._vehicles = vehicles
        self._pools: Stays = defaultdict(list)
        self._linked: Stays = defaultdict(list)
        self._guests: Stays = defaultdict(list)
        for meter in meters:
            for (charge_point, vehicle), buckets in meter.places.items():
                if vehicle:
                    self._linked[vehicle].append((meter.device, buckets))
                else:
                    self._pools[charge_point].append((meter.device, buckets))
        for shape in vehicles.values():
            pooled = shape.charging_mask & ~self._linked_buckets(shape.device)
            for (charge_point, _), buckets in shape.places.items():
                self._guests[charge_point].append((shape.device, buckets & pooled))

    def present(self, vehicle: str) -> Present:
        """The present meters of a vehicle with a shape."""
        shape = self._vehicles[vehicle]
        charging = shape.charging_mask
        meters = {meter for meter, buckets in self._linked.get(vehicle, ()) if buckets & charging}
        pooled = ~self._linked_buckets(vehicle)
        shared = False
        for (charge_point, _), stay in shape.places.items():
            pool = {meter for meter, buckets in self._pools.get(charge_point, ()) if buckets & stay & pooled & charging}
            meters |= pool
            shared |= bool(pool) and self._has_others(vehicle, charge_point, stay & pooled)
        return Present(frozenset(meters), _not_judged(shape, meters, shared=shared))

    def _has_others(self, vehicle: str, charge_point: str, stay: int) -> bool:
        """Whether another vehicle charged from the same pool while this one was there."""
        return any(other != vehicle and buckets & stay for other, buckets in self._guests[charge_point])

    def _linked_buckets(self, vehicle: str) -> int:
        mask = 0
        for _, buckets in self._linked.get(vehicle, ()):
            mask |= buckets
        return mask


def _not_judged(shape: Shape, meters: set[str], *, shared: bool) -> NotJudged | None:
    if not shape.charging:
        return "did_not_charge"
    if len(shape.charging) < FEWEST_BUCKETS or len(shape.starts()) + len(shape.stops()) < FEWEST_EDGES:
        return "too_little_charging"
    if shared:
        return "shared_charge_point"
    return "several_meters" if len(meters) > 1 else None
