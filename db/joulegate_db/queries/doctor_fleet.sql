-- doctor_fleet
-- What the live state says of the fleet: one row a device is read. $1: a device heard since then reports. Seconds.
-- A device is late when its newest reading came more than five minutes after it was measured, ahead when it was measured in the future.
select
    count(*) as devices,
    count(*) filter (where received_at >= $1) as reporting,
    max(received_at) as received_at,
    count(*) filter (where received_at >= $1 and received_at - ts > interval '5 minutes') as late,
    count(*) filter (where received_at >= $1 and ts - received_at > interval '30 seconds') as ahead,
    (array_agg(device || ' at ' || charge_point || ' (' || round(extract(epoch from received_at - ts)) || ' s)'
        order by abs(extract(epoch from received_at - ts)) desc)
        filter (where received_at >= $1 and (received_at - ts > interval '5 minutes' or ts - received_at > interval '30 seconds'))
    )[1:5] as worst
from (
    select device, charge_point, ts, received_at from meter_live
    union all
    select device, charge_point, ts, received_at from vehicle_live
) as live

