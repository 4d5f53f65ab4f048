-- archive_state
-- What stands in the way of archiving the days before $1: how far rollups and attribution are, and whether marks wait for one of those days.
-- `look_back` is the clock window + 1 day as the gateway declared it; `registers`: energies are differences, and look back further.
select
    rolled_until, attributed_until, archived_until, look_back,
    exists (select from rollup_marks where bucket < $1 and bucket >= archived_until) as marks,
    exists (select from charging_marks where bucket < $1) as charging_marks,
    'register' in (meter_energy, vehicle_energy) or exists (select from devices where energy = 'register') as registers
from roll_state
cross join charging_state
