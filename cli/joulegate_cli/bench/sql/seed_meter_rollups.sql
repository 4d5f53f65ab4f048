-- Rollups of the buckets of [$1, $2), of one reading each.
insert into meter_rollup_15m (bucket, kwh, readings, late, device, charge_point, linked_vehicle)
select bucket, 0.1 + n % 100 / 1000.0, 1, 0, meter, place, ''
from generate_series($1::timestamptz, $2::timestamptz - interval '1 us', interval '15 minutes') as bucket cross join fleet
order by bucket, meter
