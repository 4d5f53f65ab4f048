"""What a charge point stands in: the weather and the mains."""

import math

NOMINAL_VOLTS = 230.0
"""IEC 60038. EN 50160 asks for 230 V +- 10 % (207 to 253 V) in 95 % of all ten-minute means."""

DAILY_SWING_VOLTS = 3.0
"""Half of the difference between the quiet grid at 4 h and the evening. Ours."""

LOAD_DROP_VOLTS = 4.0
"""At full load of the charge point: 1.7 %, well within the 5 % of IEC 60364-5-52, table G.52.1."""

NOISE_VOLTS = 0.5
"""Standard deviation from reading to reading. Ours."""

WARMEST_HOUR = 15.0
"""Air is warmest some three hours after noon. Ours, as a round figure."""


def ambient_temperature(hour_of_day: float, mean: float, swing: float) -> float:
    """Air temperature: a cosine around the day's mean, warmest at 15 h UTC."""
    return mean + swing * _daily(hour_of_day, peak=WARMEST_HOUR)


def mains_voltage(hour_of_day: float, load: float) -> float:
    """Voltage at the meter: highest at 4 h UTC when the grid sleeps, and pulled down by the charge point's own load (0 to 1)."""
    return NOMINAL_VOLTS + DAILY_SWING_VOLTS * _daily(hour_of_day, peak=4.0) - LOAD_DROP_VOLTS * load


def _daily(hour_of_day: float, *, peak: float) -> float:
    return math.cos((hour_of_day - peak) * math.pi / 12.0)
