-- Computes the vehicle rollups of the buckets in [$1, $2) from history. Energies are taken as published; the
-- register devices among them are returned, with their first and last bucket: their energies are set afterwards.
-- $3 the stream's energy kind, $4 its cap in kW.
-- History only grows: no row of a rollup ever has to go.
-- `gap`: a distance d to the reading before it in the same bucket counts d - 60 s when d > 90 s.
with rolled as (
    insert into vehicle_rollup_15m (bucket, kwh, temperatures, gap, first_ts, last_ts, readings, late, device, charge_point)
    select
        bucket, sum(kwh) as kwh, sum(battery_temp) as temperatures,
        coalesce(sum(distance - 60) filter (where distance > 90), 0) as gap, min(ts) as first_ts, max(ts) as last_ts,
        count(*) as readings, count(*) filter (where late) as late, device, charge_point
    from (
        select
            *,
            extract(epoch from ts - lag(ts) over (partition by device, bucket order by ts))::double precision as distance
        from (
            select *, date_bin('15 minutes', ts, timestamptz 'epoch') as bucket
            from vehicle_history
            where ts >= $1 and ts < $2
        ) as binned
    ) as reading
    group by device, bucket, charge_point
    on conflict (device, bucket, charge_point) do update
    set kwh = excluded.kwh,
        temperatures = excluded.temperatures,
        gap = excluded.gap,
        first_ts = excluded.first_ts,
        last_ts = excluded.last_ts,
        readings = excluded.readings,
        late = excluded.late,
        (resets, glitches, jumps, recovered) = (0, 0, 0, 0)
    returning device, bucket, charge_point
),
noted as (
    insert into rollup_touched (kind, device, bucket, charge_point)
    select 'vehicle', device, bucket, charge_point from rolled
)
select rolled.device, min(rolled.bucket) as since, max(rolled.bucket) as last, coalesce(max(declared.max_kw), $4) as max_kw
from rolled
left join devices as declared on declared.device = rolled.device and declared.kind = 'vehicle'
where coalesce(declared.energy, $3) = 'register'
group by rolled.device
order by rolled.device
