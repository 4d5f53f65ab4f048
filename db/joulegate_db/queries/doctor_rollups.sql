-- doctor_rollups
-- How far rollups and attribution are, and how many marks wait, counted up to $1.
select
    rolled_until, attributed_until,
    (select count(*) from (select bucket from rollup_marks limit $1) as bounded) as marks,
    has_readings
from roll_state
cross join charging_state
cross join (
    select count(*) > 0 as has_readings
    from (
        (select device from meter_live limit 1)
        union all
        (select device from vehicle_live limit 1)
    ) as one_of_each
) as live
