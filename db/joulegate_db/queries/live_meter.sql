-- The current state of one meter. $1 device. A real is printed and read back, so that 230.1 stays 230.1.
select device, charge_point, ts, received_at, kwh, voltage::text::double precision as voltage, charging
from meter_live
where device = $1
