"""What `make bench-check` holds the benches to: ratios within one run, CPU and counts rather than times, because those hold beside a
busy neighbour and on another machine. They are not targets (those stand beside the figures): a limit that breaks says that something
became worse."""

import msgspec

from joulegate_cli.bench.ingest import IngestResult
from joulegate_cli.bench.query import HistoriesResult, PerformanceResult
from joulegate_cli.bench.roll import LinearResult, RollResult
from joulegate_cli.bench.storage import StorageResult


class Limit(msgspec.Struct, frozen=True):
    """What a figure must not fall below or exceed, and why it stands where it stands."""

    figure: str
    reason: str
    least: float | None = None
    most: float | None = None

    def is_kept(self, value: float) -> bool:
        """Whether `value` is within the limit."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


LIMITS: dict[type[msgspec.Struct], tuple[Limit, ...]] = {
    IngestResult: (
        Limit("bare_loop_ratio", "three processes share two cores with whoever else is there", least=0.1),
        Limit("copy_ratio", "each reading is staged, inserted, upserted and marked, a COPY only inserts", least=0.05),
        Limit("cpu_ratio", "decoding, batching and COPY cost the gateway about as much again as receiving", most=4),
        Limit("database_cpu_ratio", "staging, two ordered inserts and an upsert a reading instead of one", most=10),
    ),
    PerformanceResult: (
        Limit("pages", "fifteen readings of each stream at a page each, rollups by index-only scans", most=85),
        Limit("ratio", "an answer is nine statements and a computation, /healthz is neither", least=0.03),
    ),
    HistoriesResult: (Limit("pages_ratio", "an answer about a day touches a day, however long the history", most=1.1),),
    RollResult: (Limit("ratio", "two covering indexes and the marks for attribution are written", most=10),),
    LinearResult: (
        Limit("growth", "sorting grows a little faster than the fleet, small fleets have fixed costs", most=2),
    ),
    StorageResult: (
        Limit("meter_total", "a row of 86 bytes with its ids, a key of 65 that repeats the device", most=175),
        Limit("vehicle_total", "a row of 95 bytes with its ids, a key of 75", most=195),
        Limit("dense_ratio", "pages of the key that were split in the order of arrival are not full", most=1.5),
    ),
}


def limits_of(result: msgspec.Struct) -> tuple[Limit, ...]:
    """The limits of a result: of its class and of those that it is made from."""
    return tuple(limit for kind in type(result).__mro__ for limit in LIMITS.get(kind, ()))
