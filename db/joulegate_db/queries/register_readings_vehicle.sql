-- The register readings of devices, each in a range of its own, in order of time, and the one that follows the range.
-- $1 devices, $2 starts, $3 ends. Without `limit 1` it says the same (citus.py).
with span as (
    select * from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as span (device, since, until)
)
select reading.device, reading.ts, reading.kwh, reading.charge_point, reading.following, '' as linked_vehicle
from (
    select span.device, inside.ts, inside.kwh, inside.charge_point, false as following
    from span
    cross join lateral (
        select ts, kwh, charge_point from vehicle_history where device = span.device and ts >= span.since and ts < span.until
    ) as inside
    union all
    select span.device, next.ts, next.kwh, next.charge_point, true
    from span
    cross join lateral (
        select distinct on (device) device, ts, kwh, charge_point
        from vehicle_history
        where device = span.device and ts >= span.until
        order by device, ts
        limit 1
    ) as next
) as reading
order by reading.device, reading.ts
