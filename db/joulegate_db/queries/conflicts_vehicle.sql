-- Positions (from 0, in the order staged) of vehicle readings that differ from what history holds under the same (device, ts).
-- $1, $2: the staged times' bounds, which let the planner leave out partitions. Each staged reading is looked up by itself
-- (limit 1 keeps the planner from another way): a plan that was made while a partition was empty must suit a full one.
-- Without `limit 1` it says the same (citus.py): the two are a key.
select staged.position
from (select row_number() over (order by ctid) - 1 as position, * from stage_vehicle) as staged
cross join lateral (
    select charge_point, kwh, battery_temp, soc
    from vehicle_history
    where device = staged.device and ts = staged.ts and ts between $1 and $2
    limit 1
) as kept
where (kept.charge_point, kept.kwh, kept.battery_temp, kept.soc)
    is distinct from (staged.charge_point, staged.kwh, staged.battery_temp, staged.soc)
order by staged.position
