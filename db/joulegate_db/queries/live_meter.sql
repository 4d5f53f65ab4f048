-- The current state of one meter. $1 device, $2 the oldest time at which a reading is not stale, and still says that it is charging.
-- A real is printed and read back, so that 230.1 stays 230.1.
select
    device as meter_id, charge_point, ts as "timestamp", received_at, kwh as kwh_consumed_ac,
    voltage::text::double precision as voltage, charging and ts >= $2 as charging,
    ts < $2 as stale
from meter_live
where device = $1
