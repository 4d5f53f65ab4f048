-- The register readings of devices, each in a range of its own, in order of time, and the one that follows the range.
-- $1 devices, $2 starts, $3 ends.
select span.device, reading.ts, reading.kwh, reading.charge_point, reading.following, '' as linked_vehicle
from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as span (device, since, until)
cross join lateral (
    (
        select ts, kwh, charge_point, false as following
        from vehicle_history
        where device = span.device and ts >= span.since and ts < span.until
    )
    union all
    (
        select ts, kwh, charge_point, true
        from vehicle_history
        where device = span.device and ts >= span.until
        order by ts
        limit 1
    )
) as reading
order by span.device, reading.ts
