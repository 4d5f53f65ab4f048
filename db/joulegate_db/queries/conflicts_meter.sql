-- Positions (from 0, in the order staged) of meter readings that differ from what history holds under the same (device, ts).
-- $1, $2: the staged times' bounds, which let the planner leave out partitions.
select staged.position
from (select row_number() over (order by ctid) - 1 as position, * from stage_meter) as staged
join meter_history as kept on kept.device = staged.device and kept.ts = staged.ts
where kept.ts between $1 and $2
    and (kept.charge_point, kept.kwh, kept.voltage)
    is distinct from (staged.charge_point, staged.kwh, staged.voltage)
order by staged.position
