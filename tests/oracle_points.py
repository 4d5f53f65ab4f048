"""Readings and questions for the oracle in minutes after 10:00 UTC, so that the buckets begin at 0, 15, 30 and 45."""

from datetime import UTC, datetime, timedelta

from oracle import Answer, Fleet, MeterPoint, VehiclePoint, performance, unattributed_kwh_ac

TEN = datetime(2026, 5, 1, 10, 0, tzinfo=UTC)


def at(minute: float) -> datetime:
    """So many minutes after ten."""
    return TEN + timedelta(minutes=minute)


def meter(minute: float, kwh: float, device: str = "m", cp: str = "cp") -> MeterPoint:
    """A meter's reading."""
    return MeterPoint(device, cp, at(minute), kwh)


def vehicle(minute: float, kwh: float, device: str = "v", cp: str = "cp", temp: float = 20.0) -> VehiclePoint:
    """A vehicle's reading."""
    return VehiclePoint(device, cp, at(minute), kwh, temp)


def answer(fleet: Fleet, device: str = "v", start: float = 0, end: float = 60) -> Answer:
    """The oracle's answer about a vehicle between two minutes."""
    return performance(fleet, device, at(start), at(end))


def ac(fleet: Fleet, device: str = "v", start: float = 0, end: float = 60) -> float | None:
    """The AC in it."""
    return answer(fleet, device, start, end).total_kwh_consumed_ac


def unattributed(fleet: Fleet, start: float = 0, end: float = 60) -> float:
    """What nobody could be given between two minutes."""
    return unattributed_kwh_ac(fleet, at(start), at(end))
