-- doctor_rollups
-- How far rollups and attribution are, and how many marks wait, counted up to $1.
select
    rolled_until, attributed_until,
    (select count(*) from (select from rollup_marks limit $1) as bounded) as marks,
    exists (select from meter_live union all select from vehicle_live) as has_readings
from roll_state
cross join charging_state
