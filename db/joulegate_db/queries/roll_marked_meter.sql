-- Computes the meter rollups of single buckets: $1 devices, $2 buckets. Energies are taken as published; the
-- register devices among them are returned, with their first and last bucket: their energies are set afterwards.
-- $3 the stream's energy kind, $4 its cap in kW.
-- What a link no longer holds is set to nothing before.
with rolled as (
    insert into meter_rollup_15m (bucket, kwh, readings, late, device, charge_point, linked_vehicle)
    select
        since as bucket, sum(kwh) as kwh, count(*) as readings,
        count(*) filter (where late) as late, device, charge_point,
        coalesce(links.vehicle, '') as linked_vehicle
    from (select * from unnest($1::text[], $2::timestamptz[]) as touched (touched_device, since)) as touched
    cross join lateral (
        select * from meter_history where device = touched_device and ts >= since and ts < since + interval '15 minutes'
    ) as history
    left join links on links.meter = device and links.valid @> ts
    group by device, bucket, charge_point, links.vehicle
    on conflict (device, bucket, charge_point, linked_vehicle) do update
    set kwh = excluded.kwh,
        readings = excluded.readings,
        late = excluded.late,
        (resets, glitches, jumps, recovered) = (0, 0, 0, 0)
    returning device, bucket, charge_point, linked_vehicle
),
noted as (
    insert into rollup_touched (kind, device, bucket, charge_point, linked_vehicle)
    select 'meter', device, bucket, charge_point, linked_vehicle from rolled
)
select rolled.device, min(rolled.bucket) as since, max(rolled.bucket) as last, coalesce(max(declared.max_kw), $4) as max_kw
from rolled
left join devices as declared on declared.device = rolled.device and declared.kind = 'meter'
where coalesce(declared.energy, $3) = 'register'
group by rolled.device
order by rolled.device
