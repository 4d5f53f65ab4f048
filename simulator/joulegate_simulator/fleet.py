"""A fleet: which chargers and vehicles there are, and the messages that their readings become."""

import random
from datetime import UTC, datetime, timedelta

import msgspec

from joulegate_core.telemetry import MeterMessage, Stream, VehicleMessage
from joulegate_simulator.pair import Mode, Pair, PairReading
from joulegate_simulator.physics import Battery, Charger

CHARGER_RATINGS_KW = {7.4: 30, 11.0: 35, 22.0: 20, 50.0: 9, 150.0: 6}
"""Rating classes with their share of the fleet in per cent: single phase, three phases, and DC fast chargers."""

CAPACITIES_KWH = {40.0: 20, 58.0: 35, 77.0: 35, 100.0: 10}

MAX_C_RATE = 1.5
"""Most charging power of a vehicle per kWh of its capacity."""

STARTS_CHARGING = 0.7
"""So many vehicles charge at the start, so that efficiencies can be seen at once."""

DEGRADED_EVERY = 25
DEGRADED_OFFSET = 7
"""Charge points 7, 32, 57 ... waste energy: 4 % of a fleet, and one already among the first ten."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


def build_fleet(devices: int, seed: int) -> list[Pair]:
    """`devices` meter-vehicle pairs, numbered from 1; the same seed gives the same pairs, however many there are."""
    return [_build_pair(number, random.Random(f"{seed}/{number}")) for number in range(1, devices + 1)]


def is_degraded(number: int) -> bool:
    """Whether the charge point of this number has an efficiency under 85 %."""
    return number % DEGRADED_EVERY == DEGRADED_OFFSET


def meter_message(pair: Pair, reading: PairReading) -> tuple[str, bytes]:
    """Topic and payload of the meter's reading: kWh to the microwatt-hour, volts to the hundredth."""
    message = MeterMessage(
        meter_id=pair.meter_id,
        kwh_consumed_ac=round(reading.kwh_ac, 9),
        voltage=round(reading.voltage, 2),
        timestamp=_time(reading.at_ms),
    )
    return f"fleet/{pair.charge_point}/{Stream.METER}", _encode(message)


def vehicle_message(pair: Pair, reading: PairReading) -> tuple[str, bytes]:
    """Topic and payload of the vehicle's reading; away from home it still reports under its own charge point."""
    message = VehicleMessage(
        vehicle_id=pair.vehicle_id,
        soc=round(reading.soc, 3),
        kwh_delivered_dc=round(reading.kwh_dc, 9),
        battery_temp=round(reading.battery_temp, 2),
        timestamp=_time(reading.at_ms),
    )
    return f"fleet/{pair.charge_point}/{Stream.VEHICLE}", _encode(message)


def _build_pair(number: int, rng: random.Random) -> Pair:
    charger = _build_charger(rng, degraded=is_degraded(number))
    capacity = rng.choices(list(CAPACITIES_KWH), list(CAPACITIES_KWH.values()))[0]
    battery = Battery(capacity_kwh=capacity, max_kw=MAX_C_RATE * capacity, target_soc=rng.choice([80.0, 90.0, 100.0]))
    mode, soc = _first_state(rng)
    if number == 1 or is_degraded(number):  # what a reader of the README asks for first
        mode, soc = Mode.CHARGING, min(soc, 40.0)
    return Pair(number, charger=charger, battery=battery, soc=soc, mode=mode, rng=rng)


def _build_charger(rng: random.Random, *, degraded: bool) -> Charger:
    """Healthy: 0.88 to 0.95 at any load above the cut-off. Degraded: at most 0.84, as with a failing rectifier leg."""
    linear_loss = rng.uniform(0.035, 0.065)
    if degraded:
        linear_loss += rng.uniform(0.11, 0.20)
    return Charger(
        rated_kw=rng.choices(list(CHARGER_RATINGS_KW), list(CHARGER_RATINGS_KW.values()))[0],
        standby_kw=rng.uniform(0.004, 0.012),
        linear_loss=linear_loss,
    )


def _first_state(rng: random.Random) -> tuple[Mode, float]:
    if rng.random() < STARTS_CHARGING:
        return Mode.CHARGING, rng.uniform(15.0, 65.0)
    if rng.random() < 0.5:  # noqa: PLR2004 - the rest is at home or away, half and half
        return Mode.PLUGGED, rng.uniform(78.0, 95.0)
    return Mode.DRIVING, rng.uniform(40.0, 90.0)


def _time(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)
