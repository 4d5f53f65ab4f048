"""A vehicle's battery: how much power it accepts, what it loses, and how warm it gets."""

import math

import msgspec

TAPER_SOC = 80.0
"""Up to here cells take constant current (CC); above, the voltage is held and the current decays (CV).

The knee at 80 % is where car makers end the time that they state for a fast charge. Its place and the scale below are ours."""

TAPER_SCALE = 9.0
"""Per cent of charge over which the accepted power falls to 1/e in the CV phase: one ninth is left at 100 %."""

FULL_ACCEPTANCE_C = 22.0
NO_ACCEPTANCE_C = -18.0
LEAST_ACCEPTANCE = 0.1
"""In the cold the battery management lowers the power, linearly between these temperatures.

Fitted to Motoaki, Yi, Salisbury: Empirical analysis of electric vehicle fast charging under cold temperatures, Energy
Policy 122 (2018), with the summary of Idaho National Laboratory: 30 minutes at a 50 kW charger (here from 20 %, as on its map)
lead to 80 % at 25 degC (77 degF), and to 36 % less at 0 degC (32 degF)."""

HOT_C = 45.0
TOO_HOT_C = 60.0
"""Makers of 18650 cells allow charging from 0 to 45 degC, and discharging to 60 (a common line of their data sheets); a pack
throttles from the one, and gives least at the other."""

LOSS_PER_C_RATE = 0.035
"""Share of the power that heats the cells at 1 C and 25 degC: I^2 R, so that the share grows with the current.

Worked out, not measured: a resistance of 40 mOhm (a data sheet of an 18650 cell states less than 80) in a cell of 3 Ah and 3.6 V
drops 0.12 V at 1 C, 3.3 %."""

COLD_RESISTANCE_PER_K = 0.02
"""Growth of that resistance for each degree below 25. That it grows in the cold: Mat Razi et al., A review of internal resistance and
temperature relationship [...] for lithium-ion battery, J. Adv. Res. Fluid Mech. Therm. Sci. 88 (2021). How much is ours, on the
cautious side: 1.9 times at -20 degC, where 2 to 5 times is reported for cells."""

HEAT_CAPACITY = 0.0014
"""kWh per kelvin and kWh of capacity: about 5 kg of cells and housing per kWh at 1 kJ/(kg K). For cells batterydesign.net (Specific
heat capacity of lithium ion cells) collects 0.8 to 1.1 kJ/(kg K), and 1.04 for NMC."""

COOLING_HOURS = 1.0
"""Time constant of the battery towards its surroundings, with a cooling circuit. Ours."""


class Battery(msgspec.Struct, frozen=True):
    """What it holds, the most C-rate at which it charges (1 C fills it in an hour), and the charge at which its owner stops."""

    capacity_kwh: float
    max_c_rate: float
    target_soc: float


def taper(soc: float) -> float:
    """Share of full power accepted at this charge: the CC-CV curve, 1 up to `TAPER_SOC`, then falling."""
    return 1.0 if soc <= TAPER_SOC else math.exp((TAPER_SOC - soc) / TAPER_SCALE)


def thermal_limit(temperature: float) -> float:
    """Share of full power that the battery management allows at this cell temperature, `LEAST_ACCEPTANCE` to 1."""
    if FULL_ACCEPTANCE_C <= temperature <= HOT_C:
        return 1.0
    if temperature < FULL_ACCEPTANCE_C:
        share = (temperature - NO_ACCEPTANCE_C) / (FULL_ACCEPTANCE_C - NO_ACCEPTANCE_C)
    else:
        share = (TOO_HOT_C - temperature) / (TOO_HOT_C - HOT_C)
    return max(LEAST_ACCEPTANCE, share)


def accepted_kw(battery: Battery, soc: float, temperature: float) -> float:
    """The most DC power that the battery takes now."""
    return battery.capacity_kwh * battery.max_c_rate * taper(soc) * thermal_limit(temperature)


def heat_share(battery: Battery, dc_kw: float, temperature: float) -> float:
    """Share of the DC power that becomes heat in the cells, in either direction; at most a half."""
    cold = 1.0 + COLD_RESISTANCE_PER_K * max(0.0, 25.0 - temperature)
    return min(0.5, LOSS_PER_C_RATE * cold * dc_kw / battery.capacity_kwh)


def soc_after(soc: float, kwh: float, battery: Battery) -> float:
    """State of charge after `kwh` were stored (or, negative, taken), within 0 to 100."""
    return min(100.0, max(0.0, soc + 100.0 * kwh / battery.capacity_kwh))


def temperature_after(temperature: float, ambient: float, heat_kw: float, battery: Battery, hours: float) -> float:
    """Temperature after `hours` of `heat_kw`: one heat capacity with one path to the surroundings.

    The exact solution of C dT/dt = heat - C (T - ambient) / tau, so that a long step is as stable as a short one.
    """
    settled = ambient + heat_kw * COOLING_HOURS / (HEAT_CAPACITY * battery.capacity_kwh)
    return settled + (temperature - settled) * math.exp(-hours / COOLING_HOURS)
