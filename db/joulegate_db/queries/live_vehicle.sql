-- The current state of one vehicle. $1 device. A real is printed and read back, so that 230.1 stays 230.1.
select device, charge_point, ts, received_at, kwh, soc::text::double precision as soc, battery_temp, charging
from vehicle_live
where device = $1
