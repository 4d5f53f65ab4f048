-- The vehicle readings of stays, by charge point and bucket: from rollups where they hold, else from history.
-- Rollups: $1 stays' numbers, $2 devices, $3 charge points (null: any), $4 and $5 ranges of whole buckets.
-- History: $6 to $10 the same, $11 and $12 what of the range lies inside the stay. `bucket_kwh` and `bucket_readings` are of the whole bucket, all else of what
-- lies inside. $13 and $14 bound all ranges and leave out partitions. The energies of registers are computed by the caller.
-- `gap`: seconds without readings between readings of the bucket that lie inside; a distance d counts d - 60 s when d > 90 s.
(
    select
        span.stay, span.device, rollup.charge_point, '' as linked_vehicle, rollup.bucket, rollup.kwh as bucket_kwh,
        rollup.readings as bucket_readings, rollup.readings, rollup.kwh, rollup.late,
        rollup.resets, rollup.glitches, rollup.jumps, rollup.recovered, rollup.temperatures, rollup.gap, rollup.first_ts, rollup.last_ts
    from (select * from unnest($1::int[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[]) as span (stay, device, charge_point, since, until)) as span
    cross join lateral (
        select bucket, charge_point, kwh, readings, late, resets, glitches, jumps, recovered, temperatures, gap, first_ts, last_ts
        from vehicle_rollup_15m
        where
            device = span.device and charge_point = coalesce(span.charge_point, charge_point)
            and bucket >= span.since and bucket < span.until and bucket >= $13 and bucket < $14
    ) as rollup
)
union all
(
    select
        span.stay, span.device, cell.charge_point, '', cell.bucket, cell.bucket_kwh, cell.bucket_readings, cell.readings, cell.kwh, cell.late,
        0, 0, 0, 0, cell.temperatures, cell.gap, cell.first_ts, cell.last_ts
    from (select * from unnest(
        $6::int[], $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[]
    ) as span (stay, device, charge_point, since, until, inner_since, inner_until)) as span
    cross join lateral (
        select
            charge_point, bucket, sum(kwh) as bucket_kwh, count(*) as bucket_readings,
            count(*) filter (where inside) as readings, coalesce(sum(kwh) filter (where inside), 0) as kwh,
            count(*) filter (where inside and late) as late,
            coalesce(sum(battery_temp) filter (where inside), 0) as temperatures,
            coalesce(sum(distance - 60) filter (where inside and distance > 90), 0) as gap,
            min(ts) filter (where inside) as first_ts, max(ts) filter (where inside) as last_ts
        from (
            select
                *,
                extract(epoch from ts - lag(ts) over (partition by device, bucket, inside order by ts))::double precision as distance
            from (
                select
                    *, date_bin('15 minutes', ts, timestamptz 'epoch') as bucket,
                    ts >= span.inner_since and ts < span.inner_until as inside
                from vehicle_history
                where device = span.device and ts >= span.since and ts < span.until and ts >= $13 and ts < $14
            ) as binned
        ) as reading
        where charge_point = coalesce(span.charge_point, charge_point)
        group by device, charge_point, bucket
    ) as cell
)
order by device, charge_point, bucket
