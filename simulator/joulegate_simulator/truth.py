"""The ground truth: for each vehicle and quarter of an hour what really flowed, and which faults were on."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from joulegate_simulator.site import Site
from joulegate_simulator.truth_files import Heading, TruthLine, create_truth_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from joulegate_simulator.device import MeterDevice, VehicleDevice

BUCKET_MS = 15 * 60 * 1000


class _Sum:
    """One vehicle's bucket while it is open."""

    __slots__ = ("ac", "bucket", "charge_point", "dc", "faults", "meter")

    def __init__(self, bucket: int) -> None:
        self.bucket = bucket
        self.ac = self.dc = 0.0
        self.charge_point: str | None = None
        self.meter: str | None = None
        self.faults: set[str] = set()

    def add_faults(self, names: frozenset[str], device: str) -> None:
        self.faults.update(f"{name}:{device}" for name in names)

    def line(self, vehicle_id: str) -> TruthLine:
        return TruthLine(
            vehicle_id=vehicle_id,
            bucket=datetime.fromtimestamp(self.bucket * BUCKET_MS / 1000, UTC),
            charge_point=self.charge_point,
            meter_id=self.meter,
            kwh_ac=round(self.ac, 9),
            kwh_dc=round(self.dc, 9),
            efficiency=self.dc / self.ac if self.ac > 0.0 else None,
            faults=sorted(self.faults),
        )


class TruthWriter:
    """Writes a line when a vehicle's bucket is over; the last ones when it closes.

    Raises:
        JoulegateError: the file cannot be written, or it is to be Parquet and pyarrow is not installed.
    """

    def __init__(self, path: Path, heading: Heading) -> None:
        self._sums: dict[str, _Sum] = {}
        self._file = create_truth_file(path, heading)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: "TracebackType | None"
    ) -> None:
        for vehicle_id, open_sum in self._sums.items():
            self._file.write(open_sum.line(vehicle_id))
        self._file.close()

    def add(self, site: Site, meters: "Sequence[MeterDevice]", vehicles: "Sequence[VehicleDevice]", at_ms: int) -> None:
        """Adds the last step of a site, which ended at `at_ms`; the energy belongs to that time's bucket."""
        bucket = at_ms // BUCKET_MS
        meter_faults = {meter.name: meter.faults_on for meter in meters}
        for device, vehicle in zip(vehicles, site.vehicles, strict=True):
            one = self._sum(device.name, bucket)
            one.ac += vehicle.kwh_ac
            one.dc += vehicle.kwh_dc
            one.add_faults(device.faults_on, device.name)
            if (point := vehicle.at) is not None:
                one.charge_point, one.meter = point.meter.place, point.meter.meter_id
                one.add_faults(meter_faults[one.meter], one.meter)
                if point.degraded:
                    one.faults.add(f"charger_degraded:cp-{point.number:05d}")
                if not site.powered:
                    one.faults.add(f"grid_outage:site-{site.number}")
            elif vehicle.home is not None:  # away: its own meter goes on without it, or does not
                meter = vehicle.home.meter.meter_id
                one.add_faults(meter_faults[meter], meter)
                if not site.powered:
                    one.faults.add(f"grid_outage:{meter}")

    def _sum(self, vehicle_id: str, bucket: int) -> _Sum:
        """The vehicle's open bucket; one that is over is written."""
        one = self._sums.get(vehicle_id)
        if one is None or one.bucket != bucket:
            if one is not None:
                self._file.write(one.line(vehicle_id))
            one = self._sums[vehicle_id] = _Sum(bucket)
        return one
