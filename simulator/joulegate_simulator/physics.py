"""The physics of a charge point and a battery, as plain functions of their state: no clock, no randomness.

Units: kW, kWh, hours, degrees Celsius, volts, state of charge in per cent.
"""

import math

import msgspec

TAPER_SOC = 80.0
"""Up to here lithium-ion cells take constant power; above, the current decays (the CC-CV curve seen from the grid)."""

TAPER_SCALE = 9.0
"""Per cent of charge over which the power falls to 1/e: one ninth of full power is left at 100 %."""

CUT_OFF_LOAD = 0.08
"""A charger stops below this share of its rating: its losses would eat what little it still delivers."""

HEAT_CAPACITY = 0.0014
"""kWh per kelvin and kWh of capacity: about 5 kg of cells and housing per kWh, at 1 kJ/(kg K)."""

HEAT_SHARE = 0.03
"""Share of the battery's power that warms it, in either direction."""

COOLING_HOURS = 1.0
"""Time constant of the battery towards its surroundings, with active cooling."""

NOMINAL_VOLTS = 230.0


class Charger(msgspec.Struct, frozen=True):
    """A charge point's power electronics.

    Losses follow the usual model of a converter: P_loss = fixed + linear * P + quadratic * P^2, all relative to the
    rating. `fixed` keeps it switching, `linear` is that of the semiconductors, `quadratic` that of the copper.
    """

    rated_kw: float
    standby_kw: float
    linear_loss: float
    fixed_loss: float = 0.004
    quadratic_loss: float = 0.015

    def efficiency(self, ac_kw: float) -> float:
        """DC out over AC in at this AC power, which is more than 0 and at most the rating."""
        load = ac_kw / self.rated_kw
        return 1.0 - (self.fixed_loss / load + self.linear_loss + self.quadratic_loss * load)


class Battery(msgspec.Struct, frozen=True):
    """A vehicle's battery: what it holds, the most AC power it asks for, and the charge at which its owner stops."""

    capacity_kwh: float
    max_kw: float
    target_soc: float


class Charge(msgspec.Struct, frozen=True):
    """One step of charging: `kwh_dc` = `kwh_ac` * `efficiency`; `finished` when the step was the last one."""

    kwh_ac: float
    kwh_dc: float
    efficiency: float
    finished: bool


def taper(soc: float) -> float:
    """Share of full power that a battery takes at this charge: 1 up to `TAPER_SOC`, then falling."""
    return 1.0 if soc <= TAPER_SOC else math.exp((TAPER_SOC - soc) / TAPER_SCALE)


def charge(charger: Charger, battery: Battery, soc: float, hours: float) -> Charge:
    """Energy of a step of `hours` that starts at `soc`, at the power of its start, and not beyond the target."""
    ac_kw = min(charger.rated_kw, battery.max_kw) * taper(soc)
    missing_kwh = (battery.target_soc - soc) / 100.0 * battery.capacity_kwh
    if ac_kw < CUT_OFF_LOAD * charger.rated_kw or missing_kwh <= 0.0:
        return Charge(kwh_ac=0.0, kwh_dc=0.0, efficiency=0.0, finished=True)
    efficiency = charger.efficiency(ac_kw)
    kwh_ac = min(ac_kw * hours, missing_kwh / efficiency)
    kwh_dc = kwh_ac * efficiency
    return Charge(kwh_ac=kwh_ac, kwh_dc=kwh_dc, efficiency=efficiency, finished=kwh_dc >= missing_kwh * (1 - 1e-12))


def soc_after(soc: float, kwh: float, battery: Battery) -> float:
    """State of charge after `kwh` went in (or, negative, out), within 0 to 100."""
    return min(100.0, max(0.0, soc + 100.0 * kwh / battery.capacity_kwh))


def temperature_after(temperature: float, ambient: float, kw: float, battery: Battery, hours: float) -> float:
    """Battery temperature after `hours` at a power of `kw`: one heat capacity with one path to the surroundings.

    The exact solution of C dT/dt = heat - C (T - ambient) / tau, so that a long step is as stable as a short one.
    """
    rise = HEAT_SHARE * kw * COOLING_HOURS / (HEAT_CAPACITY * battery.capacity_kwh)
    settled = ambient + rise
    return settled + (temperature - settled) * math.exp(-hours / COOLING_HOURS)


def ambient_temperature(hour_of_day: float) -> float:
    """Outdoor temperature in the temperate zone: 12 degrees on average, warmest at 15 h UTC."""
    return 12.0 + 6.0 * _daily(hour_of_day, peak=15.0)


def mains_voltage(hour_of_day: float, load: float) -> float:
    """Voltage at the meter: highest at 4 h UTC when the grid sleeps, and pulled down by the charger's own load (0 to 1)."""
    return NOMINAL_VOLTS + 3.0 * _daily(hour_of_day, peak=4.0) - 4.0 * load


def _daily(hour_of_day: float, *, peak: float) -> float:
    return math.cos((hour_of_day - peak) * math.pi / 12.0)
