"""A meter or a vehicle as the network sees it: what it reports of what is true, and what the faults make of it on the way."""

import math
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

from joulegate_core.telemetry import MeterMessage, VehicleMessage
from joulegate_simulator.charge_point import Meter
from joulegate_simulator.fault_plan import FaultPlan, SubjectFaults
from joulegate_simulator.randomness import uniform
from joulegate_simulator.vehicle import Vehicle

SKEW_SECONDS = (20.0, 90.0)
DRIFT = (0.05, 0.15)
MICROWATTHOURS = 1e9
"""In a kWh: what a message shows is rounded to so much."""

MAX_HELD = 20_000
"""Readings that an offline device keeps, two weeks of minutes; then it forgets the oldest, as devices do."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode

Message = tuple[str, bytes]
"""Topic and payload."""


class Device(ABC):
    """One device's way from truth to messages.

    Attributes:
        name: its id.
        home: the charge point or feeder that it belongs to; its own name when it belongs to none.
        faults_on: of its last reading.
        drops: whether its connection drops now. came_back: whether it was offline until now.
    """

    def __init__(self, name: str, kind: str, number: int, plan: FaultPlan, *, home: str) -> None:
        self.name = name
        self.home = home
        self.faults_on: frozenset[str] = frozenset()
        self.drops = False
        self.came_back = False
        self._faults = SubjectFaults(plan, kind, number)
        self._seed = plan.seed
        self._readings = 0
        self._held: list[Message] = []
        self._late: list[Message] = []

    def _begin(self, hours: float) -> frozenset[str]:
        """The faults of the next reading."""
        self._readings += 1
        self.faults_on = self._faults.on(hours, self._readings)
        return self.faults_on

    @abstractmethod
    def _message(self, time: datetime) -> Message:
        """Topic and payload of what the last step showed, with this time."""

    def _send(self, at_ms: int, *, cut_off: bool = False) -> list[Message]:
        """What leaves the device now: the reading, and what was held. `cut_off`: it has no network, whatever its own faults."""
        self.came_back = self.drops = False
        if self.faults_on or cut_off:
            return self._send_faultily(self.faults_on, at_ms, cut_off=cut_off)
        message = [self._message(_time(at_ms))]
        return self._release(message) if self._held or self._late else message

    def _send_faultily(self, on: frozenset[str], at_ms: int, *, cut_off: bool) -> list[Message]:
        self.drops = "flapping" in on
        if "silent" in on or "missing" in on:
            return []
        messages = self._messages(on, at_ms)
        if cut_off or "offline" in on:
            self._held += messages
            del self._held[:-MAX_HELD]
            return []
        if "out_of_order" in on:
            late, self._late = self._late, messages
            return late
        return self._release(messages)

    def _messages(self, on: frozenset[str], at_ms: int) -> list[Message]:
        """The reading as the device's clock and its software make it."""
        if "clock_skew" in on:
            at_ms += round(1000 * self._own("clock_skew", *SKEW_SECONDS))
        topic, payload = self._message(_time(at_ms))
        message = topic, self._garble(payload) if "malformed" in on else payload
        return [message, message] if "duplicate" in on else [message]

    def _release(self, messages: list[Message]) -> list[Message]:
        self.came_back = bool(self._held)
        messages = [*self._held, *messages, *self._late]
        self._held, self._late = [], []
        return messages

    def _own(self, name: str, least: float, most: float) -> float:
        """A size between the two that is the device's for ever, up or down."""
        draw = uniform(self._seed, "size", name, self.name)
        return math.copysign(least + (most - least) * abs(2 * draw - 1), draw - 0.5)

    def _garble(self, payload: bytes) -> bytes:
        """Cut short, not JSON, or a number that is none: one of the three, by the reading's number."""
        match self._readings % 3:
            case 0:
                return payload[: len(payload) // 2]
            case 1:
                return b"\xff\xfe" + payload[2:]
        return payload.replace(b'"kwh', b'"kwh"x', 1)


class MeterDevice(Device):
    """A meter. It keeps a counter of what it measured, rightly or not."""

    def __init__(self, meter: Meter, plan: FaultPlan, *, register: bool) -> None:
        super().__init__(meter.meter_id, "meter", meter.number, plan, home=meter.place)
        self._meter = meter
        self._topic = f"fleet/{meter.place}/meter"
        self._register = register
        self._counter = 1000.0 * uniform(plan.seed, "counter", meter.number)
        self._shown = 0.0

    def report(self, at_ms: int, hours: float, *, powered: bool) -> list[Message]:
        """The messages of the last step, which ended at `at_ms`, `hours` after the start. Without power it is off."""
        on = self._begin(hours)
        self._shown = self._measure(on)
        if not powered:
            self.came_back = self.drops = False
            return []
        return self._send(at_ms)

    def _message(self, time: datetime) -> Message:
        kwh = int(self._shown * MICROWATTHOURS + 0.5) / MICROWATTHOURS  # a fifth of the time of round()
        volts = int(self._meter.volts * 100.0 + 0.5) / 100.0
        return self._topic, _encode(MeterMessage(self.name, kwh, volts, time))

    def _measure(self, on: frozenset[str]) -> float:
        """What it shows: kWh to the microwatt-hour."""
        kwh = self._meter.kwh
        if on:
            if "meter_dead" in on:
                kwh = 0.0
            elif "meter_drift" in on:
                kwh *= 1.0 + self._own("meter_drift", *DRIFT)
            if "register_reset" in on:
                self._counter = 0.0
        self._counter += kwh
        shown = self._counter if self._register else kwh
        if "register_zero" in on:
            return 0.0
        if "meter_stuck" in on:
            return self._shown
        return shown


class VehicleDevice(Device):
    """A vehicle's telematics, and the DC meter of its charger."""

    def __init__(self, vehicle: Vehicle, plan: FaultPlan, *, register: bool) -> None:
        home = vehicle.vehicle_id if vehicle.home is None else vehicle.home.meter.place
        super().__init__(vehicle.vehicle_id, "vehicle", vehicle.number, plan, home=home)
        self._vehicle = vehicle
        self._register = register
        self._shown = (vehicle.soc, vehicle.temperature)
        self._counter = 0.0
        self._place = self._topic = ""

    def report(self, at_ms: int, hours: float, *, powered: bool) -> list[Message]:
        """The messages of the last step. Plugged in where there is no power it has no network, and sends later."""
        vehicle = self._vehicle
        on = self._begin(hours)
        self._counter += vehicle.kwh_dc
        if "sensor_stuck" not in on:
            self._shown = (vehicle.soc, vehicle.temperature)
        return self._send(at_ms, cut_off=not powered and vehicle.at is not None)

    def _message(self, time: datetime) -> Message:
        vehicle = self._vehicle
        soc, temperature = self._shown
        kwh = int((self._counter if self._register else vehicle.kwh_dc) * MICROWATTHOURS + 0.5) / MICROWATTHOURS
        soc, temperature = int(soc * 1000.0 + 0.5) / 1000.0, math.floor(temperature * 100.0 + 0.5) / 100.0
        if (place := vehicle.place) is not self._place:
            self._place, self._topic = place, f"fleet/{place}/vehicle"
        return self._topic, _encode(VehicleMessage(self.name, soc, kwh, temperature, time))


@lru_cache(maxsize=64)  # all devices of a site share a time
def _time(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)
