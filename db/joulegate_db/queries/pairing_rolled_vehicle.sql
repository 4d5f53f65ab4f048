-- The coarse shapes of devices from rollups: for each place the numbers of its 15-minute buckets since 1970, their energy in kWh and their readings.
-- `linked_vehicle` is a meter's. $1 devices, $2 starts and $3 ends, whole buckets; $4 and $5 bound all ranges and leave out partitions.
select span.device, place.charge_point, place.linked_vehicle, place.buckets, place.kwh, place.readings
from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as span (device, since, until)
cross join lateral (
    select
        charge_point, '' as linked_vehicle,
        array_agg((extract(epoch from bucket) / 900)::integer) as buckets, array_agg(kwh) as kwh,
        array_agg(readings) as readings
    from vehicle_rollup_15m
    where device = span.device and bucket >= span.since and bucket < span.until and bucket >= $4 and bucket < $5
    group by device, charge_point
) as place
order by span.device
