"""What every service tells Prometheus of itself: its version, memory, CPU and files."""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector


def add_process_metrics(registry: CollectorRegistry) -> None:
    """Adds `joulegate_build_info{version}` and the client library's `process_*` metrics (Linux: read from /proc when scraped)."""
    build = Gauge(
        "joulegate_build_info", "Always 1; the label is this process's version", ["version"], registry=registry
    )
    build.labels(version("joulegate")).set(1)
    ProcessCollector(registry=registry)
