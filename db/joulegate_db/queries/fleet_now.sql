-- How many devices there are now, are charging, and are silent. $1: readings measured before it do not say that a device is charging; a device
-- whose newest reading was received before $2 is silent.
select
    meters.total as meters, vehicles.total as vehicles, vehicles.charging, meters.silent as silent_meters,
    vehicles.silent as silent_vehicles
from (
    select count(*) as total, count(*) filter (where received_at < $2) as silent from meter_live
) as meters
cross join (
    select
        count(*) as total, count(*) filter (where received_at < $2) as silent,
        count(*) filter (where charging and ts >= $1) as charging
    from vehicle_live
) as vehicles
