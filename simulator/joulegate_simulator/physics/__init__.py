"""The physics of charging as pure functions: no clock, no randomness, no state.

Units throughout: kW, kWh, hours, degrees Celsius, volts, state of charge in per cent.
"""
