-- archive_readings_meter
-- A day's meter readings in the order of the files. $TABLE is its table: it may be detached. Times in microseconds since 1970.
select (extract(epoch from ts) * 1000000)::bigint as ts, kwh, voltage, late, device, charge_point
from public.$TABLE
order by device, ts
