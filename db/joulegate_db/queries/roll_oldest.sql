-- The first reading of all that are not archived; null without any. Scans history: asked once, before the first roll.
select case when oldest is not null then greatest(oldest, archived_until) end
from (select least((select min(ts) from meter_history), (select min(ts) from vehicle_history)) as oldest) as history
cross join roll_state
