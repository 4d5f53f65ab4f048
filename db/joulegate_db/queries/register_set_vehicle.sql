-- Sets what register readings are worth in the rollups: $1 devices, $2 buckets, $3 charge points, $4 kWh, $5 resets, $6 glitches,
-- $7 jumps, $8 recovered, $9 nothing (vehicles are not linked to themselves).
with changed as (
    update vehicle_rollup_15m as rollup
    set kwh = worth.kwh, resets = worth.resets, glitches = worth.glitches, jumps = worth.jumps, recovered = worth.recovered
    from (
        select *
        from unnest($1::text[], $2::timestamptz[], $3::text[], $4::double precision[], $5::int[], $6::int[], $7::int[], $8::int[], $9::text[])
            as worth (device, bucket, charge_point, kwh, resets, glitches, jumps, recovered, nothing)
    ) as worth
    where rollup.device = worth.device and rollup.bucket = worth.bucket and rollup.charge_point = worth.charge_point
    returning rollup.device, rollup.bucket, rollup.charge_point
)
insert into rollup_touched (kind, device, bucket, charge_point)
select 'vehicle', device, bucket, charge_point from changed
