-- Rollups of the buckets of [$1, $2), of one reading each.
insert into vehicle_rollup_15m (bucket, kwh, temperatures, gap, first_ts, last_ts, readings, late, device, charge_point)
select bucket, 0.09 + n % 100 / 1100.0, 25 + n % 9, 0, bucket + shift, bucket + shift, 1, 0, vehicle, place
from generate_series($1::timestamptz, $2::timestamptz - interval '1 us', interval '15 minutes') as bucket cross join fleet
order by bucket, vehicle
