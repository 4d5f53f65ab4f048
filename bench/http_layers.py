"""What the sidecar does around an answer, in microseconds a request: no database, no network, one event loop.

    .venv/bin/python bench/http_layers.py [--seconds 3] [--tokens]

Prints the median of five runs each: a vehicle's performance from a reader that answers at once.
"""

import argparse
import asyncio
import statistics
import time
from datetime import UTC, datetime
from typing import Any, cast

import uvloop

from joulegate_core.clock import utc_now
from joulegate_db.performance import MeterEnergy, Performance, Quality
from joulegate_db.reader import Reader
from joulegate_db.windows import Window
from joulegate_http.app import create_app
from joulegate_http.metrics import Metrics

RUNS = 15
PATH = "/v1/analytics/performance/v-000123"


class Ready:
    """A reader that has its answer already."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def performance(self, *_: Any) -> Any:
        """The same for every vehicle."""
        return self._answer


def answer() -> Any:
    """An answer as of a healthy vehicle."""
    quality = Quality(
        pairing="exclusive", vehicle_readings=1440, meter_readings=1440, expected_readings=1440, coverage=1.0,
        gap_minutes=0.0, counter_resets=0, glitches=0, jumps=0, recovered=0, late_share=0.0, reason=None,
        paired_efficiency_ratio=0.912,
    )  # fmt: skip
    window = Window(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC))
    return Performance(
        vehicle_id="v-000123", window=window, total_kwh_consumed_ac=42.1, total_kwh_delivered_dc=38.4,
        efficiency_ratio=0.912, avg_battery_temp=31.2, status="ok", quality=quality,
        meters=(MeterEnergy("m-000123", 42.1),),
    )  # fmt: skip


async def run(app: Any, headers: list[tuple[bytes, bytes]], count: int) -> float:
    """Microseconds of `count` requests, each."""
    statuses: list[int] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    began = time.process_time()
    for _ in range(count):
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": PATH, "raw_path": PATH.encode(), "query_string": b"", "root_path": "", "headers": headers,
            "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8080), "state": {},
        }  # fmt: skip
        await app(scope, receive, send)
    taken = time.process_time() - began
    assert set(statuses) == {200}
    return taken / count * 1e6


def main() -> None:
    """Measures and prints."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--count", type=int, default=5000)
    given = arguments.parse_args()
    app = create_app(cast("Reader", Ready(answer())), utc_now, Metrics())
    headers = [(b"host", b"127.0.0.1:8080"), (b"user-agent", b"bench"), (b"accept", b"*/*")]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(app, headers, given.count))
        figures = [runner.run(run(app, headers, given.count)) for _ in range(RUNS)]
    print(f"{min(figures):.1f} us of CPU a request (the least of {RUNS} runs; median {statistics.median(figures):.1f})")


if __name__ == "__main__":
    main()
