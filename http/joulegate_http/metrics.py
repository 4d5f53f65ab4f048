"""What the sidecar counts of itself, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from joulegate_core.process_metrics import add_process_metrics

UNMATCHED = "unmatched"
"""The route label of requests that no route takes: a path is the client's to choose and must not become a label."""


class Metrics:
    """Requests by route and status, and how long they took, by route."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "joulegate_http_requests", "Requests answered", labelnames=("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "joulegate_http_request_seconds",
            "From the request to the end of the answer",
            labelnames=("route",),
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self._known: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self.read_lag = Gauge(
            "joulegate_http_read_lag_seconds",
            "How many seconds answers may be behind the primary; NaN when the database did not say",
            registry=self.registry,
        )
        add_process_metrics(self.registry)

        self.stream_clients = Gauge(
            "joulegate_http_stream_clients", "Clients of the stream at the moment", registry=self.registry
        )
        self.stream_dropped = Counter(
            "joulegate_http_stream_dropped", "Clients of the stream that were too slow", registry=self.registry
        )

    def observe(self, route: str | None, status: int, seconds: float) -> None:
        """Books one request. `route`: the route's path with its parameters' names, None when there is none."""
        counter, histogram = self._of(route or UNMATCHED, status)
        counter.inc()
        histogram.observe(seconds)

    def _of(self, route: str, status: int) -> tuple[Counter, Histogram]:
        """What the two count in. Looking for it by its labels takes longer than counting."""
        if (known := self._known.get((route, status))) is None:
            known = self._known[route, status] = self.requests.labels(route, status), self.seconds.labels(route)
        return known
