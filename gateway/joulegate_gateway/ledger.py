"""The ledger: received = settled + pending, at any moment. Plain counters, turned into Prometheus metrics when scraped."""

from collections import Counter as Tallies
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from joulegate_core.process_metrics import add_process_metrics
from joulegate_core.reasons import Reason
from joulegate_core.telemetry import Stream
from joulegate_db.retention import KINDS
from joulegate_db.writer import Tally

OUTCOMES = ("committed", "duplicate", "quarantined")


class Ledger(Collector):
    """Counts messages by stream. Each belongs to the event loop's thread; a scrape reads them from there too."""

    def __init__(self) -> None:
        self.received: Tallies[Stream] = Tallies()
        self.settled: Tallies[tuple[Stream, str]] = Tallies()
        self.overflowed: Tallies[str] = Tallies()

    @property
    def pending(self) -> int:
        """Messages received and not yet settled."""
        return self.received.total() - self.settled.total()

    def settle(self, tally: Tally) -> None:
        """Books one committed batch."""
        for stream, counts in tally.items():
            for outcome in OUTCOMES:
                self.settled[stream, outcome] += getattr(counts, outcome)
            self.overflowed.update(counts.overflowed)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """The metrics of the contract (docs/metrics.md)."""
        received = CounterMetricFamily(
            "joulegate_messages_received", "Messages taken from the broker", labels=["stream"]
        )
        settled = CounterMetricFamily(
            "joulegate_messages_settled", "Messages settled, by outcome", labels=["stream", "outcome"]
        )
        overflow = CounterMetricFamily(
            "joulegate_quarantine_overflow",
            "Quarantined messages that were only counted, because quarantine's cap was reached",
            labels=["reason"],
        )
        for reason in Reason:
            overflow.add_metric([reason], self.overflowed[reason])
        for stream in Stream:
            received.add_metric([stream], self.received[stream])
            for outcome in OUTCOMES:
                settled.add_metric([stream, outcome], self.settled[stream, outcome])
        yield received
        yield settled
        yield overflow
        yield GaugeMetricFamily(
            "joulegate_messages_pending", "Messages received and not yet settled", value=self.pending
        )


class Metrics:
    """All metrics of a gateway, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ledger = Ledger()
        self.registry.register(self.ledger)
        self.batch_size = Histogram(
            "joulegate_batch_size",
            "Messages in a committed batch",
            buckets=(1, 10, 100, 1000, 5000, 10_000, 100_000),
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "joulegate_commit_seconds",
            "Time from the start of a batch's transaction to its commit",
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self.lag_seconds = Gauge(
            "joulegate_lag_seconds",
            "From arrival to commit, for the oldest message of the last batch",
            registry=self.registry,
        )
        self.reconnects = Counter(
            "joulegate_reconnects", "Connections to the broker that ended", registry=self.registry
        )
        self.sessions_lost = Counter(
            "joulegate_sessions_lost",
            "Sessions that the broker no longer had when we came back",
            registry=self.registry,
        )
        self.broker_dropped = Gauge(
            "joulegate_broker_dropped_messages",
            "Messages that the broker dropped since its start, over all clients, by its own count (mosquitto)",
            registry=self.registry,
        )
        self.database_failures = Counter(
            "joulegate_database_failures", "Batches that were held because the database failed", registry=self.registry
        )
        self.rolled_until = Gauge(
            "joulegate_rolled_until_timestamp_seconds",
            "Up to when rollups are computed, as Unix time; 0 until it is known",
            registry=self.registry,
        )
        self.removed = Counter(
            "joulegate_retention_removed",
            "Rows removed because they were older than they are kept; of rollups, monthly partitions",
            labelnames=["kind"],
            registry=self.registry,
        )
        for kind in KINDS:
            self.removed.labels(kind)
        add_process_metrics(self.registry)
