"""A step of charging: charger and battery together, with every kWh accounted for."""

import msgspec

from joulegate_simulator.physics.battery import Battery, accepted_kw, heat_share
from joulegate_simulator.physics.charger import Charger


class Flow(msgspec.Struct, frozen=True, gc=False):
    """Where a step's energy went, in kWh: `ac` = `dc` + charger's losses, `dc` = `stored` + `heat`; `finished`: the last step."""

    ac: float
    dc: float
    stored: float
    heat: float
    finished: bool


NOTHING = Flow(ac=0.0, dc=0.0, stored=0.0, heat=0.0, finished=True)


def charge(
    charger: Charger,
    battery: Battery,
    soc: float,
    temperature: float,
    ambient: float,
    hours: float,
    *,
    extra_loss: float = 0.0,
) -> Flow:
    """Energy of `hours` at the power of its start: what the charger gives or what the battery takes, and not beyond the target.

    Constant power up to the knee of the CC-CV curve, then what the battery accepts: so a slow charger holds its power almost to the end.
    """
    missing_kwh = (battery.target_soc - soc) / 100.0 * battery.capacity_kwh
    if missing_kwh <= 0.0:
        return NOTHING
    rated = charger.available_kw(ambient)
    wanted_dc = accepted_kw(battery, soc, temperature)
    ac_kw = rated
    efficiency = charger.efficiency(rated, ambient, extra_loss=extra_loss)
    if wanted_dc < rated:  # perhaps less than it can give: then as much as the battery takes
        ac_kw = min(rated, wanted_dc / charger.efficiency(wanted_dc, ambient, extra_loss=extra_loss))
        efficiency = charger.efficiency(ac_kw, ambient, extra_loss=extra_loss)
    dc_kw = ac_kw * efficiency
    warming = heat_share(battery, dc_kw, temperature)
    stored = dc_kw * hours * (1.0 - warming)
    finished = stored >= missing_kwh
    part = missing_kwh / stored if finished else 1.0
    dc = dc_kw * hours * part
    return Flow(ac=ac_kw * hours * part, dc=dc, stored=dc * (1.0 - warming), heat=dc * warming, finished=finished)
