"""Which other meters may be a vehicle's: those that start and stop when it does, found through an index."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from heapq import nlargest

from joulegate_db.shape_fit import fit_coarse
from joulegate_db.shapes import Shape

SHORTLIST = 200
"""Meters that share edges with a vehicle are compared bucket by bucket, at most so many: bounds the work where all start together."""

CANDIDATES = 5
"""So many of them are compared minute by minute: the right one, the next best, and some more."""

HIGHEST_COARSE_ERROR = 0.25
"""A meter that does not fit in quarters of an hour does not fit in minutes."""

Edge = tuple[str, int]


class MeterIndex:
    """Meters by the buckets in which they start and stop."""

    def __init__(self, meters: Iterable[Shape]) -> None:
        self._by_edge: dict[Edge, list[Shape]] = defaultdict(list)
        for meter in meters:
            for edge in _edges(meter):
                self._by_edge[edge].append(meter)

    def candidates(self, vehicle: Shape, present: str | None) -> tuple[str, ...]:
        """The meters other than the present one that fit the vehicle best in 15-minute buckets, the best one first."""
        fits = []
        for meter in self._shortlist(vehicle):
            fit = fit_coarse(vehicle, meter)
            if meter.device != present and fit is not None and fit.error <= HIGHEST_COARSE_ERROR:
                fits.append((fit.error, meter.device))
        return tuple(device for _, device in sorted(fits)[:CANDIDATES])

    def _shortlist(self, vehicle: Shape) -> list[Shape]:
        """The meters that share the most edges with the vehicle. Two clocks may put an edge into neighbouring buckets."""
        votes: Counter[str] = Counter()
        found: dict[str, Shape] = {}
        for kind, bucket in _edges(vehicle):
            near = {
                meter.device: meter
                for neighbour in (bucket - 1, bucket, bucket + 1)
                for meter in self._by_edge.get((kind, neighbour), ())
            }
            votes.update(near.keys())
            found |= near
        length = len(vehicle.charging)
        chosen = nlargest(SHORTLIST, found, key=lambda m: (votes[m], -abs(len(found[m].charging) - length), m))
        return [found[device] for device in chosen]


def _edges(shape: Shape) -> list[Edge]:
    return [("start", bucket) for bucket in shape.starts()] + [("stop", bucket) for bucket in shape.stops()]
