-- The meter readings of stays, by charge point, link and bucket: from rollups where they hold, else from history.
-- Rollups: $1 stays' numbers, $2 devices, $3 charge points (null: any), $4 and $5 ranges of whole buckets.
-- History: $6 to $10 the same, $11 and $12 what of the range lies inside the stay. `bucket_kwh` and `bucket_readings` are of the whole bucket, all else of what
-- lies inside. $13 and $14 bound all ranges and leave out partitions. The energies of registers are computed by the caller.
(
    select
        span.stay, span.device, rollup.charge_point, rollup.linked_vehicle, rollup.bucket, rollup.kwh as bucket_kwh,
        rollup.readings as bucket_readings, rollup.readings, rollup.kwh, rollup.late,
        rollup.resets, rollup.glitches, rollup.jumps, rollup.recovered
    from (select * from unnest($1::int[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[]) as span (stay, device, charge_point, since, until)) as span
    cross join lateral (
        select bucket, charge_point, linked_vehicle, kwh, readings, late, resets, glitches, jumps, recovered
        from meter_rollup_15m
        where
            device = span.device and charge_point = coalesce(span.charge_point, charge_point)
            and bucket >= span.since and bucket < span.until and bucket >= $13 and bucket < $14
    ) as rollup
)
union all
(
    select
        span.stay, span.device, cell.charge_point, cell.linked_vehicle, cell.bucket, cell.bucket_kwh, cell.bucket_readings, cell.readings, cell.kwh, cell.late,
        0, 0, 0, 0
    from (select * from unnest(
        $6::int[], $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[]
    ) as span (stay, device, charge_point, since, until, inner_since, inner_until)) as span
    cross join lateral (
        select
            charge_point, coalesce(links.vehicle, '') as linked_vehicle,
            date_bin('15 minutes', ts, timestamptz 'epoch') as bucket, sum(kwh) as bucket_kwh, count(*) as bucket_readings,
            count(*) filter (where inside) as readings, coalesce(sum(kwh) filter (where inside), 0) as kwh,
            count(*) filter (where inside and late) as late
        from (
            select *, ts >= span.inner_since and ts < span.inner_until as inside
            from meter_history
            where device = span.device and ts >= span.since and ts < span.until and ts >= $13 and ts < $14
        ) as reading
        left join links on links.meter = span.device and links.valid @> reading.ts
        where charge_point = coalesce(span.charge_point, charge_point)
        group by device, charge_point, bucket, links.vehicle
    ) as cell
)
order by device, charge_point, bucket
