-- archive_readings_vehicle
-- A day's vehicle readings in the order of the files. $TABLE is its table: it may be detached. Times in microseconds since 1970.
select (extract(epoch from ts) * 1000000)::bigint as ts, kwh, battery_temp, soc, late, device, charge_point
from public.$TABLE
order by device, ts
