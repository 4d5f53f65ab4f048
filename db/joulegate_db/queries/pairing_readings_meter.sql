-- The readings of devices from history: for each place the times, in seconds since 1970, and the kWh as published, in no order.
-- A meter's readings under a link stand apart, by the vehicle. $1 devices, $2 starts, $3 ends; $4 and $5 bound all ranges and leave out partitions.
select span.device, place.charge_point, place.linked_vehicle, place.times, place.kwh
from (select * from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as span (device, since, until)) as span
cross join lateral (
    select
        charge_point, coalesce(links.vehicle, '') as linked_vehicle,
        array_agg(extract(epoch from ts)::double precision) as times, array_agg(kwh) as kwh
    from (
        select device, ts, kwh, charge_point
        from meter_history
        where device = span.device and ts >= span.since and ts < span.until and ts >= $4 and ts < $5
    ) as reading
    left join links on links.meter = span.device and links.valid @> reading.ts
    group by device, charge_point, links.vehicle
) as place
order by span.device
