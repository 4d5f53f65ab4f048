"""A fleet over three days: its messages, its balances, and that it can be repeated."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise

import msgspec
import pytest

from joulegate_core.telemetry import MAX_PAYLOAD_BYTES, MeterMessage, VehicleMessage, is_valid_id
from joulegate_simulator.fleet import build_fleet, is_degraded, meter_message, vehicle_message
from joulegate_simulator.pair import Mode, PairReading

START_MS = 1_763_942_400_123
STEP_SECONDS = 300
STEPS = 3 * 24 * 12
DEVICES = 200


@cache
def three_days() -> dict[int, list[PairReading]]:
    """The readings of every pair by its number."""
    return {
        number: [pair.step(START_MS + step * STEP_SECONDS * 1000, STEP_SECONDS) for step in range(STEPS)]
        for number, pair in enumerate(build_fleet(DEVICES, seed=3), 1)
    }


def payloads(devices: int, seed: int, steps: int = 50) -> list[list[tuple[str, bytes]]]:
    """For every pair its messages."""
    return [
        [
            message(pair, reading)
            for reading in [pair.step(START_MS + step * 60_000, 60.0) for step in range(steps)]
            for message in (meter_message, vehicle_message)
        ]
        for pair in build_fleet(devices, seed)
    ]


def test_every_message_is_one_that_the_gateway_accepts() -> None:
    for number, pair in enumerate(build_fleet(DEVICES, seed=3), 1):
        for reading in three_days()[number]:
            topic, payload = meter_message(pair, reading)
            meter = msgspec.json.decode(payload, type=MeterMessage)
            assert topic == f"fleet/cp-{number:05d}/meter"
            assert meter.meter_id == f"m-{number:05d}"
            assert 207 <= meter.voltage <= 253  # EN 50160: 230 V +- 10 %
            assert len(payload) <= MAX_PAYLOAD_BYTES
            topic, payload = vehicle_message(pair, reading)
            vehicle = msgspec.json.decode(payload, type=VehicleMessage)
            assert topic == f"fleet/cp-{number:05d}/vehicle"
            assert vehicle.vehicle_id == f"v-{number:05d}"
            assert -20 <= vehicle.battery_temp <= 60
            assert meter.timestamp == vehicle.timestamp == datetime.fromtimestamp(reading.at_ms / 1000, UTC)
        assert is_valid_id(pair.charge_point)


def test_a_time_is_written_in_utc_to_the_millisecond() -> None:
    pair = build_fleet(1, seed=1)[0]
    _, payload = meter_message(pair, pair.step(START_MS, 60.0))
    assert b'"timestamp":"2025-11-24T00:00:00.123000Z"' in payload


def test_energy_is_conserved() -> None:
    for number, pair in enumerate(build_fleet(DEVICES, seed=3), 1):
        soc = pair.soc
        for reading in three_days()[number]:
            gained = (reading.soc - soc) / 100 * pair.battery.capacity_kwh
            if reading.mode is not Mode.DRIVING:
                assert gained == pytest.approx(reading.kwh_dc, abs=1e-9)
            else:
                assert gained <= 0.0
            if reading.kwh_dc > 0.0:
                efficiency = pair.charger.efficiency(reading.kwh_ac * 3600 / STEP_SECONDS)
                capped = reading.soc >= pair.battery.target_soc - 1e-9  # the last step ended early
                assert capped or reading.kwh_dc == pytest.approx(reading.kwh_ac * efficiency, abs=1e-9)
            soc = reading.soc


def test_a_charger_that_does_not_charge_draws_its_standby_power() -> None:
    for number, pair in enumerate(build_fleet(DEVICES, seed=3), 1):
        idle = [reading.kwh_ac for reading in three_days()[number] if reading.kwh_dc == 0.0]
        assert idle
        assert {round(kwh, 12) for kwh in idle} == {round(pair.charger.standby_kw * STEP_SECONDS / 3600, 12)}
        assert 0.004 <= pair.charger.standby_kw <= 0.012


def test_healthy_and_degraded_chargers_can_be_told_apart_by_a_days_energy() -> None:
    degraded = 0
    for number, readings in three_days().items():
        ratio = sum(reading.kwh_dc for reading in readings) / sum(reading.kwh_ac for reading in readings)
        if is_degraded(number):
            degraded += 1
            assert 0.6 < ratio < 0.85
        else:
            assert 0.87 < ratio < 0.95
    assert degraded == DEVICES // 25


def test_vehicles_charge_leave_and_come_back() -> None:
    driven: dict[int, int] = defaultdict(int)
    for number, readings in three_days().items():
        modes = [reading.mode for reading in readings]
        driven[number] = sum(a is not Mode.DRIVING and b is Mode.DRIVING for a, b in pairwise(modes))
        assert set(modes) == set(Mode)
        assert all(r.kwh_dc == 0.0 for r in readings if r.mode is not Mode.CHARGING)
        assert min(reading.soc for reading in readings) >= 10.0 - 1e-9
    assert min(driven.values()) >= 2


def test_most_of_the_fleet_charges_at_the_start() -> None:
    first = Counter(readings[0].mode for readings in three_days().values())
    assert 0.6 * DEVICES < first[Mode.CHARGING] < 0.8 * DEVICES
    assert min(first.values()) > 0.05 * DEVICES
    assert len(first) == 3
    for number in (1, 7, 32):
        five_minutes = build_fleet(DEVICES, seed=99)[number - 1].step(START_MS, 5.0)
        assert five_minutes.kwh_dc > 0.0


def test_the_seed_decides() -> None:
    assert payloads(20, seed=7) == payloads(20, seed=7)
    assert payloads(20, seed=7) != payloads(20, seed=8)


def test_a_pair_does_not_depend_on_the_size_of_the_fleet() -> None:
    assert payloads(30, seed=7)[:20] == payloads(20, seed=7)
