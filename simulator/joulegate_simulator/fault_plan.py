"""Who has which fault when: a function of the seed, independent of order, and switchable while the simulation runs."""

import math
from collections.abc import Mapping

from joulegate_simulator.fault_catalogue import CATALOGUE, FaultSetting
from joulegate_simulator.randomness import spread, uniform

NEVER = math.inf


def prone(seed: int, name: str, setting: FaultSetting, number: int, kind: str = "") -> bool:
    """Whether the subject of this number has the fault at all; a larger share only adds subjects."""
    offset = uniform(seed, "fault", name, kind) if setting.first is None else -spread(setting.first, 0.0)
    return spread(number, offset) + 1e-9 < setting.share_of(name) or number == setting.first


class FaultPlan:
    """The faults that are on, for the whole fleet. `version` changes with every switch."""

    def __init__(self, seed: int, settings: Mapping[str, FaultSetting]) -> None:
        self.seed = seed
        self.settings = dict(settings)
        self.version = 0

    def switch(self, settings: Mapping[str, FaultSetting]) -> None:
        """Puts these faults in place of those before."""
        self.settings = dict(settings)
        self.version += 1


class SubjectFaults:
    """The faults of one subject: a charge point, a meter, a vehicle or a site.

    Ask with times and reading numbers that do not fall.
    """

    def __init__(self, plan: FaultPlan, kind: str, number: int) -> None:
        self._plan = plan
        self._kind = kind
        self._number = number
        self._version = -1
        self._spells: list[_Spells] = []
        self._strikes: list[_Strikes] = []
        self._on: frozenset[str] = frozenset()
        self._changes_at = -NEVER

    def on(self, hours: float, reading: int) -> frozenset[str]:
        """The names of the faults that are on, `hours` after the start, for the subject's reading of this number."""
        if self._version != self._plan.version:
            self._begin(reading)
        elif hours < self._changes_at and not self._strikes:
            return self._on
        if hours >= self._changes_at:
            for spell in self._spells:
                spell.advance(hours)
            self._on = frozenset(spell.name for spell in self._spells if spell.on)
            self._changes_at = min((spell.changes_at for spell in self._spells), default=NEVER)
        if self._strikes:
            struck = [strikes.name for strikes in self._strikes if strikes.hits(hours, reading)]
            if struck:
                return self._on.union(struck)
        return self._on

    def _begin(self, reading: int) -> None:
        plan = self._plan
        self._version = plan.version
        self._changes_at = -NEVER
        self._spells, self._strikes = [], []
        for name, setting in plan.settings.items():
            kind = CATALOGUE[name]
            if kind.subject != self._kind and not (kind.subject == "device" and self._kind in {"meter", "vehicle"}):
                continue
            if not prone(plan.seed, name, setting, self._number, self._kind):
                continue
            key = (plan.seed, name, self._kind, self._number)
            if kind.probability is None:
                self._spells.append(_Spells(key, setting))
            else:
                chance = kind.probability if setting.probability is None else setting.probability
                self._strikes.append(_Strikes(key, setting, chance, reading))


_Key = tuple[int, str, str, int]


class _Spells:
    """A condition: off, on, and off again, with exponential times between when it comes and goes."""

    def __init__(self, key: _Key, setting: FaultSetting) -> None:
        self.name = key[1]
        self.on = False
        self._key = key
        self._setting = setting
        self._drawn = 0
        wait = 0.0 if setting.every_hours is None else self._draw(setting.every_hours)
        self.changes_at = setting.after_hours + wait

    def advance(self, hours: float) -> None:
        while hours >= self.changes_at:
            self.on = not self.on
            lasts, every = self._setting.lasts_hours, self._setting.every_hours
            if every is None:
                self.changes_at = self.changes_at + lasts if self.on and lasts is not None else NEVER
            else:
                self.changes_at += self._draw((lasts or 1.0) if self.on else every)

    def _draw(self, mean: float) -> float:
        self._drawn += 1
        return -mean * math.log(1.0 - uniform(*self._key, self._drawn))


class _Strikes:
    """Single readings, each with the same chance: the numbers of those that are struck, by geometric gaps."""

    def __init__(self, key: _Key, setting: FaultSetting, chance: float, reading: int) -> None:
        self.name = key[1]
        self._key = key
        self._setting = setting
        self._chance = chance
        self._next = reading - 1
        self._go_on()

    def hits(self, hours: float, reading: int) -> bool:
        hit = False
        while self._next <= reading:
            hit = self._next == reading
            self._go_on()
        return hit and self._in_time(hours)

    def _in_time(self, hours: float) -> bool:
        since = hours - self._setting.after_hours
        lasts = self._setting.lasts_hours
        return since >= 0.0 and (lasts is None or since < lasts)

    def _go_on(self) -> None:
        if self._chance <= 0.0:
            self._next = 2**62
        elif self._chance >= 1.0:
            self._next += 1
        else:
            draw = 1.0 - uniform(*self._key, self._next)
            self._next += 1 + int(math.log(draw) / math.log1p(-self._chance))
