"""`joulegate bench`: every bench runs, small, on real parts; its counts are exact, its figures are there and fit each other."""

import asyncio
import json
import os
import subprocess

import msgspec
import pytest

from command_support import COMMAND
from joulegate_cli.bench.child import http_child
from joulegate_cli.bench.ingest import USUAL, IngestResult, Setup, bench_ingest
from joulegate_cli.bench.latency import LatencyResult, Load, SustainedResult, bench_latency
from joulegate_cli.bench.mixed import Mix, MixedResult, bench_mixed
from joulegate_cli.bench.plain_copy import rows_in_history
from joulegate_cli.bench.query import Fleet, FleetResult, HistoriesResult, PerformanceResult, bench_query
from joulegate_cli.bench.report import Results, figures
from joulegate_cli.bench.roll import LinearResult, RollResult, bench_roll
from joulegate_cli.bench.seed import Past, seed
from joulegate_cli.bench.servers import bench_servers
from joulegate_cli.bench.stalled import StalledResult, bench_stalled
from joulegate_cli.bench.storage import StorageResult, bench_storage
from joulegate_core.clock import utc_now

pytestmark = pytest.mark.slow


def quiet(_phase: str, _done: int, _total: int) -> None:
    """Progress that nobody looks at."""


def measured(results: Results) -> list[msgspec.Struct]:
    """The results, none of whose figures is zero or below."""
    found = [result for _, result in results]
    for result in found:
        assert {name for name in figures(type(result)) if not getattr(result, name) > 0} == set()
    return found


@pytest.mark.parametrize("setup", [USUAL, Setup(gateways=2, batch_max=3000)])
def test_ingest(setup: Setup) -> None:
    (result,) = measured(bench_ingest(120_000, 2000, quiet, setup))
    assert isinstance(result, IngestResult)
    assert result.committed == result.messages == 120_000
    assert result.bare_loop_ratio == pytest.approx(result.readings_per_second / result.bare_loop_per_second)
    assert result.copy_ratio == pytest.approx(result.readings_per_second / result.copy_per_second)
    assert result.database_cpu_us > result.copy_cpu_us


def test_ingest_with_the_database_stalled() -> None:
    (result,) = measured(bench_stalled(30_000, 2000, 2, quiet))
    assert isinstance(result, StalledResult)
    assert result.committed == result.waiting == 30_000
    assert result.idle_mb < result.stalled_peak_mb <= result.peak_mb


def test_latency() -> None:
    sustained, fleet = measured(bench_latency(Load(200, 2000, 1), Load(200, 100, 1), quiet))
    assert isinstance(sustained, SustainedResult)
    assert isinstance(fleet, LatencyResult)
    assert (sustained.readings, sustained.committed) == (2000, 2200)
    assert (fleet.readings, fleet.committed, fleet.samples) == (100, 300, 100)
    for result in (sustained, fleet):
        assert result.samples > 50
        assert result.p50 <= result.p99 <= result.slowest


def test_query() -> None:
    short, long, both, fleet = measured(bench_query(Fleet(20, (1, 4), 20), 0.5, quiet))
    assert isinstance(short, PerformanceResult)
    assert isinstance(long, PerformanceResult)
    assert isinstance(both, HistoriesResult)
    assert isinstance(fleet, FleetResult)
    for result in (short, long):
        assert 15 < result.pages < result.pages_with_planning
        assert result.p50 <= result.p99
        assert result.per_second < result.bare_per_second
    assert both.pages_ratio == pytest.approx(long.pages / short.pages)


def test_storage() -> None:
    (result,) = measured(bench_storage(20, quiet))
    assert isinstance(result, StorageResult)
    assert result.readings == 20 * 1440
    assert result.meter_total == pytest.approx(result.meter_heap + result.meter_index)
    # a row has 24 bytes of header, 4 of pointer, 21 of numbers, two texts; a key an entry of at least 8 and the device
    assert result.meter_heap > 24 + 4 + 21 + 14 + 15
    assert result.meter_index > 8 + 14


def test_roll() -> None:
    small, large, linear = measured(bench_roll([200, 2000], quiet))
    assert isinstance(small, RollResult)
    assert isinstance(large, RollResult)
    assert isinstance(linear, LinearResult)
    assert (small.readings, large.readings) == (200 * 15, 2000 * 15)
    assert linear.growth == pytest.approx(large.us_a_device / small.us_a_device)


def test_mixed() -> None:
    (result,) = measured(bench_mixed(Mix(120_000, 2000, 10, 0), 0.5, quiet))
    assert isinstance(result, MixedResult)
    assert result.committed == 2 * result.messages == 240_000
    assert result.drained_ratio == pytest.approx(result.drained_mixed / result.drained_alone)


def test_answers_about_a_seeded_past_equal_its_history() -> None:
    now = utc_now().replace(second=30)
    with bench_servers() as servers:
        url = servers.create_database("seeded")
        asyncio.run(seed(url, Past(3, 3, now, full_days=2), lambda _done, _total: None))
        with http_child(servers.environ("seeded"), servers.directory / "http.log") as http:
            window = f"from={now.date()}T00:00:00Z&to={now:%Y-%m-%dT%H:%M:%SZ}"
            answer = json.loads(http.get(f"/v1/analytics/performance/v-000001?{window}"))
            fleet = json.loads(http.get("/v1/analytics/fleet"))
        rows = rows_in_history(url)
    minutes = answer["quality"]["vehicleReadings"]
    into_day = now.hour * 60 + now.minute
    assert minutes in (into_day, into_day + 1)
    assert answer["quality"]["meterReadings"] == minutes
    assert answer["quality"]["pairing"] == "exclusive"
    assert answer["totalKwhConsumedAc"] == pytest.approx(0.101 * minutes)
    assert (fleet["counts"]["vehicles"], fleet["counts"]["ok"]) == (3, 3)
    # a day of quarters of an hour, two days of minutes, and today
    assert rows == pytest.approx(2 * 3 * (96 + 2 * 1440 + minutes), abs=6)


def test_the_command_writes_a_record() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOULEGATE_")}
    command = [*COMMAND, "bench", "storage", "--devices", "10", "--runs", "2", "--json"]
    done = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=120, check=True)
    record = json.loads(done.stdout)
    case = record["cases"]["a day of 10 devices"]
    assert record["bench"] == "storage"
    assert record["machine"]["postgresql"].startswith("postgres (PostgreSQL)")
    assert case["targets"]["meter_total"] == "<= 90"
    assert [run["readings"] for run in case["runs"]] == [14_400, 14_400]
    assert done.stderr == ""
