-- The current state of one vehicle. $1 device, $2 the oldest time at which a reading is not stale, and still says that it is charging.
-- A real is printed and read back, so that 55.5 stays 55.5.
select
    device as vehicle_id, charge_point, ts as "timestamp", received_at, soc::text::double precision as soc,
    kwh as kwh_delivered_dc, battery_temp, charging and ts >= $2 as charging,
    ts < $2 as stale
from vehicle_live
where device = $1
