-- Computes the meter rollups of the buckets in [$1, $2) from history. Energies are taken as published; the
-- register devices among them are returned, with their first and last bucket: their energies are set afterwards.
-- $3 the stream's energy kind, $4 its cap in kW.
-- History only grows: no row of a rollup ever has to go.
with rolled as (
    insert into meter_rollup_15m (bucket, kwh, readings, late, device, charge_point, linked_vehicle)
    select
        date_bin('15 minutes', ts, timestamptz 'epoch') as bucket, sum(kwh) as kwh, count(*) as readings,
        count(*) filter (where late) as late, device, charge_point,
        coalesce(links.vehicle, '') as linked_vehicle
    from meter_history
    left join links on links.meter = device and links.valid @> ts
    where ts >= $1 and ts < $2
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
