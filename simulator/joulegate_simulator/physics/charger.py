"""A charge point's power electronics: rating, efficiency by load and heat, standby."""

import math

import msgspec

RATINGS_KW = (3.7, 7.4, 11.0, 22.0, 50.0, 150.0, 350.0)
"""230 V x 16 A and x 32 A on one phase, 400 V x 16 A and x 32 A on three, and three DC classes. In the United Kingdom 85 % of 595 public
AC sockets gave 7 kW and 15 % 22 kW (Bayram et al., Statistical characterisation of public AC EV chargers in the UK, IEEE Access 11,
2023)."""

LARGEST_AC_KW = 22.0
"""Up to here the converter is the vehicle's on-board charger; above, it stands in the charge point."""

MODULE_KW = 50.0
"""DC chargers are built of rectifier modules, and run only as many as they need: so a low power is no low load."""

FIXED_LOSS = 0.004
QUADRATIC_LOSS = 0.015
HEALTHY_LINEAR_LOSS = (0.035, 0.065)
"""Losses relative to the rating: P_loss = fixed + linear P + quadratic P^2, the usual model of a converter. Their sum gives 0.88
to 0.95 at the rating. Published: 0.83 to 0.94 for AC at 240 V, 0.89 to 0.90 on average, and 0.85 to 0.93 for fast DC chargers
(nenpower.com, How does the efficiency of Level 2 chargers compare to public charging stations); of 1,008 charges of Chevrolet Volts those
at 240 V were 3 % better than those at 120 V, and 13 % where little was drawn (VEIC, An assessment of Level 1 and Level 2 electric
vehicle charging efficiency, 2013): the fixed losses. The three coefficients are ours, within these."""

DEGRADED_LINEAR_LOSS = (0.11, 0.20)
"""What a failing rectifier leg or a corroded contact adds: an efficiency of at most 0.84, the fault that joulegate is there to find."""

COPPER_PER_K = 0.0039
"""Resistance of copper grows by so much a kelvin (0.00393 at 20 degC: Dellinger, The temperature coefficient of resistance of copper,
Bulletin of the Bureau of Standards 7, 1911), and the quadratic loss with it."""

DERATING_C = 40.0
DERATING_PER_K = 0.03
"""Above 40 degC around it a charger lowers its power, by so much a kelvin. Ours; IEC 61851-22:2001 wants it to work from -30 to 50 degC."""

STANDBY_KW = {"ac": (0.004, 0.012), "dc": (0.03, 0.06)}
"""Drawn without a vehicle: electronics, radio and display of an AC charge point some watts, a DC charger some tens. Ours."""


class Charger(msgspec.Struct, frozen=True):
    """Rating at the AC side, standby draw, and the linear loss that is its own (see `HEALTHY_LINEAR_LOSS`)."""

    rated_kw: float
    standby_kw: float
    linear_loss: float

    def available_kw(self, ambient: float) -> float:
        """The most AC power it draws at this ambient temperature."""
        return self.rated_kw * max(0.2, 1.0 - DERATING_PER_K * max(0.0, ambient - DERATING_C))

    def efficiency(self, ac_kw: float, ambient: float = 25.0, *, extra_loss: float = 0.0) -> float:
        """DC out over AC in at this AC power, which is more than 0 and at most the rating; never under 0.2."""
        unit = self.rated_kw
        if unit > MODULE_KW:
            unit = MODULE_KW * math.ceil(ac_kw / MODULE_KW)
        load = ac_kw / unit
        copper = QUADRATIC_LOSS * load * (1.0 + COPPER_PER_K * (ambient - 25.0))
        return max(0.2, 1.0 - (FIXED_LOSS / load + self.linear_loss + extra_loss + copper))
