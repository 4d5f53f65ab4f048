"""When vehicles leave and come back: by the clock, as from a depot, or as their errands take them."""

import random

from joulegate_simulator.scenario import Driving

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FIRST_MONDAY_MS = 4 * DAY_MS
"""1970-01-01 was a Thursday."""

WORKING_DAYS = 5


class Timetable:
    """Departures and arrivals as times in milliseconds since 1970 (UTC), drawn with the vehicle's own random numbers.

    By the clock: normal distributions around the two hours, on working days other than at weekends, as Quiros-Tortos, Ochoa, Lees keep
    them apart (A statistical analysis of EV charging behavior in the UK, IEEE ISGT Latin America 2015). The shapes are ours: normal
    there, otherwise uniform trips and exponential stays.
    """

    def __init__(self, driving: Driving) -> None:
        self._driving = driving
        self.fixed = driving.depart_hour is not None

    def departure(self, at_ms: int, rng: random.Random) -> int:
        """When a vehicle that plugs in now leaves, charged or not; 0: not before it is charged."""
        if self._driving.depart_hour is None:
            return 0
        day = at_ms // DAY_MS
        while True:
            leaves = _at(day, self._driving.depart_hour, self._driving.spread_hours, rng)
            if leaves > at_ms and (_is_working_day(day) or rng.random() < self._driving.weekend):
                return leaves
            day += 1
            if day > at_ms // DAY_MS + 7:  # no working day among them cannot be
                return leaves

    def departure_charged(self, at_ms: int, planned_ms: int, rng: random.Random) -> int:
        """When a vehicle leaves that is charged now, and was to leave at `planned_ms`."""
        if self.fixed:
            return planned_ms
        stay = self._driving.stay_hours
        return at_ms + int((0.2 + rng.expovariate(1 / stay)) * HOUR_MS) if stay else at_ms + 1

    def arrival(self, at_ms: int, rng: random.Random) -> int:
        """When a vehicle that leaves now comes back."""
        driving = self._driving
        if driving.arrive_hour is not None:
            day = at_ms // DAY_MS
            back = _at(day, driving.arrive_hour, driving.spread_hours, rng)
            return back if back > at_ms else back + DAY_MS
        back = at_ms + int(rng.uniform(*driving.away_hours) * HOUR_MS)
        return back if driving.quiet_hours is None else _after_quiet(back, *driving.quiet_hours, rng)

    def drive_kw(self, rng: random.Random) -> float:
        """Mean power of a trip; 0.15 to 0.2 kWh/km, as cars use by WLTP, times a speed."""
        return rng.uniform(*self._driving.drive_kw)

    def is_away(self, at_ms: int) -> bool:
        """Whether by the clock the vehicles are on the road at this time."""
        driving = self._driving
        if driving.depart_hour is None or driving.arrive_hour is None or not _is_working_day(at_ms // DAY_MS):
            return False
        hour = at_ms % DAY_MS / HOUR_MS
        if driving.depart_hour < driving.arrive_hour:
            return driving.depart_hour <= hour < driving.arrive_hour
        return hour >= driving.depart_hour or hour < driving.arrive_hour


def _at(day: int, hour: float, spread_hours: float, rng: random.Random) -> int:
    return day * DAY_MS + int((hour + rng.gauss(0.0, spread_hours)) * HOUR_MS)


def _is_working_day(day: int) -> bool:
    return (day * DAY_MS - FIRST_MONDAY_MS) // DAY_MS % 7 < WORKING_DAYS


def _after_quiet(at_ms: int, begin: float, end: float, rng: random.Random) -> int:
    """The same time, or one in the two hours after the quiet ones when it falls into them."""
    hour = at_ms % DAY_MS / HOUR_MS
    length = (end - begin) % 24
    into = (hour - begin) % 24
    return at_ms if into >= length else at_ms + int((length - into + rng.uniform(0.0, 2.0)) * HOUR_MS)
