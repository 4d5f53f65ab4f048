"""A site under simulation: physics, faults and messages of one step together."""

from collections.abc import Iterator

from joulegate_simulator.device import Device, Message, MeterDevice, VehicleDevice
from joulegate_simulator.fault_plan import FaultPlan, SubjectFaults
from joulegate_simulator.scenario import Scenario
from joulegate_simulator.site import Site
from joulegate_simulator.truth import TruthWriter

LEAST_STEP_SECONDS = 1.0
"""What is true is worked out at most once a second: a load test with a reading every few milliseconds needs no finer curve."""


class SimulatedSite:
    """Steps a site and yields what its devices send. Faults count their hours from `start_ms`."""

    def __init__(
        self, site: Site, scenario: Scenario, plan: FaultPlan, start_ms: int, truth: TruthWriter | None = None
    ) -> None:
        self.site = site
        self.start_ms = start_ms
        self._truth = truth
        self._steps = self._readings_left = 0
        self._outage = SubjectFaults(plan, "site", site.number)
        self._points = [(point, SubjectFaults(plan, "charge point", point.number)) for point in site.points]
        registers = scenario.fleet
        self.meters = [MeterDevice(meter, plan, register=registers.meter_energy == "register") for meter in site.meters]
        self.vehicles = [
            VehicleDevice(vehicle, plan, register=registers.vehicle_energy == "register") for vehicle in site.vehicles
        ]
        self.devices: tuple[Device, ...] = (*self.meters, *self.vehicles)

    def step(self, at_ms: int, seconds: float) -> Iterator[tuple[Device, list[Message]]]:
        """Advances by `seconds` to the time `at_ms`; for each device what it sends."""
        hours = (at_ms - self.start_ms) / 3_600_000
        if not self._readings_left:
            self._readings_left = max(1, int(LEAST_STEP_SECONDS / seconds))
            self._step_physics(at_ms, seconds, hours, self._readings_left)
        self._readings_left -= 1
        powered = self.site.powered
        for meter in self.meters:
            yield meter, meter.report(at_ms, hours, powered=powered)
        for vehicle in self.vehicles:
            yield vehicle, vehicle.report(at_ms, hours, powered=powered)
        if self._truth is not None:
            self._truth.add(self.site, self.meters, self.vehicles, at_ms)

    def _step_physics(self, at_ms: int, seconds: float, hours: float, readings: int) -> None:
        """Advances the truth by so many readings of `seconds` each, which then have equal parts in its energies."""
        self._steps += 1
        self.site.powered = not self._outage.on(hours, self._steps)
        for point, faults in self._points:
            point.degraded = bool(faults.on(hours, self._steps))
        self.site.step(at_ms, seconds * readings)
        if readings > 1:
            for meter in self.site.meters:
                meter.kwh /= readings
            for vehicle in self.site.vehicles:
                vehicle.kwh_ac /= readings
                vehicle.kwh_dc /= readings

    def faults_on(self) -> Iterator[str]:
        """The names of the faults that are on as of the last step, one for each subject that has it."""
        for device in self.devices:
            if device.faults_on:
                yield from device.faults_on
        for point in self.site.points:
            if point.degraded:
                yield "charger_degraded"
        if not self.site.powered:
            yield "grid_outage"
