-- Attributes AC anew (docs/energy.md) for what was touched: $1 buckets, $2 charge points, $3 vehicles ('': none) whose own linked meter's row
-- changed; $4 the first and $5 the last of the buckets, which leave out partitions. Recomputes every vehicle at those charge points, and what nobody
-- there could be given. Returns nothing.
--
-- The laterals with `offset 0` keep the planner on one range of an index a device, whatever it thinks of the number of marks: a sequential scan of
-- a month would be read for a single late reading. A kWh under 1e-100 counts as 0, so that no quotient underflows.
--
-- Rollups lie by device, on a cluster on its workers; all else is by charge point (docs/adr/0008). So each of them is asked apart from all else, with a
-- list of devices and buckets; without `offset 0` it says the same (citus.py).
with touched as materialized (
    select * from (select * from unnest($1::timestamptz[], $2::text[], $3::text[]) as mark (bucket, charge_point, vehicle)) as mark
),
-- wherever a vehicle was whose own meter came or went
visited as materialized (
    select mark.bucket, stay.charge_point
    from (select distinct bucket, vehicle from touched where vehicle <> '') as mark
    cross join lateral (
        select charge_point from vehicle_rollup_15m
        where device = mark.vehicle and bucket = mark.bucket and bucket >= $4 and bucket <= $5
        offset 0
    ) as stay
),
-- where a pool may have changed
places as materialized (
    select bucket, charge_point from touched
    union
    select bucket, charge_point from visited
),
-- whose rows may have changed
concerned as materialized (
    select bucket, vehicle from touched where vehicle <> ''
    union
    select place.bucket, seen.device
    from places as place
    cross join lateral (
        select device from presence where charge_point = place.charge_point and bucket = place.bucket and kind = 'vehicle' offset 0
    ) as seen
),
own as materialized (
    select concerned.bucket, concerned.vehicle, stay.*
    from concerned
    cross join lateral (
        select
            charge_point, case when kwh < 1e-100 then 0 else kwh end as dc, temperatures, readings,
            resets + glitches + jumps as events, gap, first_ts, last_ts, late
        from vehicle_rollup_15m
        where device = concerned.vehicle and bucket = concerned.bucket and bucket >= $4 and bucket <= $5
        offset 0
    ) as stay
),
-- a vehicle's row also holds what it was given at its other charge points of the bucket
all_places as materialized (
    select bucket, charge_point from places
    union
    select bucket, charge_point from own
),
present as materialized (
    select place.bucket, place.charge_point, seen.kind, seen.device
    from all_places as place
    cross join lateral (
        select kind, device from presence where charge_point = place.charge_point and bucket = place.bucket offset 0
    ) as seen
),
members as materialized (
    select present.bucket, present.charge_point, present.device as vehicle, stay.dc
    from present
    cross join lateral (
        select case when kwh < 1e-100 then 0 else kwh end as dc
        from vehicle_rollup_15m
        where
            device = present.device and bucket = present.bucket and charge_point = present.charge_point
            and bucket >= $4 and bucket <= $5
        offset 0
    ) as stay
    where present.kind = 'vehicle'
),
own_meters as materialized (
    select vehicle.bucket, vehicle.vehicle, own_meter.*
    from (select bucket, vehicle from members union select bucket, vehicle from concerned) as vehicle
    cross join lateral (
        select case when kwh < 1e-100 then 0 else kwh end as ac, readings, resets + glitches + jumps as events
        from meter_rollup_15m
        where linked_vehicle = vehicle.vehicle and linked_vehicle <> '' and bucket = vehicle.bucket and bucket >= $4 and bucket <= $5
        offset 0
    ) as own_meter
),
linked as materialized (
    select bucket, vehicle, sum(ac) as ac, sum(readings) as readings, sum(events) as events from own_meters group by bucket, vehicle
),
-- a vehicle whose own linked meter reported in the bucket has left all pools
pools as materialized (
    select bucket, charge_point, count(*) as vehicles, sum(dc) as dc
    from members
    where not exists (select from linked where (linked.bucket, linked.vehicle) = (members.bucket, members.vehicle))
    group by bucket, charge_point
),
shared_meters as materialized (
    select present.bucket, present.charge_point, meter.*
    from present
    cross join lateral (
        select
            device, case when kwh < 1e-100 then 0 else kwh end as ac, readings, resets + glitches + jumps as events, late
        from meter_rollup_15m
        where
            device = present.device and bucket = present.bucket and charge_point = present.charge_point
            and linked_vehicle = '' and bucket >= $4 and bucket <= $5
        offset 0
    ) as meter
    where present.kind = 'meter'
),
pooled as materialized (
    select
        bucket, charge_point, sum(ac) as ac, sum(readings) as readings, sum(events) as events, sum(late) as late,
        count(distinct device) as meters, min(device) as meter
    from shared_meters
    group by bucket, charge_point
),
-- rows that tell all of an answer: one charge point, nobody else there, no link, one meter at most
plain as materialized (
    select
        bucket, vehicle, min(charge_point) as charge_point, min(meter) as meter, min(gap) as gap, min(first_ts) as first_ts,
        max(last_ts) as last_ts, sum(own.late + coalesce(pooled.late, 0)) as late
    from own
    join (select bucket, charge_point, count(*) as vehicles from members group by bucket, charge_point) as crowds
        using (bucket, charge_point)
    left join pooled using (bucket, charge_point)
    where not exists (select from linked where (linked.bucket, linked.vehicle) = (own.bucket, own.vehicle))
    group by bucket, vehicle
    having count(*) = 1 and max(vehicles) = 1 and coalesce(max(meters), 0) <= 1
),
parts as (
    select bucket, vehicle, ac, readings, events, 3 as pairing from linked
    union all
    select
        own.bucket, own.vehicle, pooled.ac * case when pools.dc > 0 then own.dc / pools.dc else 1.0 / pools.vehicles end,
        pooled.readings, pooled.events, case pools.vehicles when 1 then 2 else 1 end
    from own
    join pools using (bucket, charge_point)
    join pooled using (bucket, charge_point)
    where not exists (select from linked where (linked.bucket, linked.vehicle) = (own.bucket, own.vehicle))
),
received as (
    select
        bucket, vehicle, sum(dc) as dc, sum(temperatures) as temperatures, sum(readings) as readings, sum(events) as events
    from own
    group by bucket, vehicle
),
drawn as (
    select
        bucket, vehicle, sum(ac) as ac, sum(readings) as readings, sum(events) as events, min(pairing) as pairing
    from parts
    group by bucket, vehicle
),
computed as materialized (
    select
        bucket, vehicle, drawn.ac, received.dc, coalesce(received.temperatures, 0) as temperatures,
        coalesce(received.readings, 0) as vehicle_readings, coalesce(drawn.readings, 0) as meter_readings,
        coalesce(received.events, 0) + coalesce(drawn.events, 0) as events, drawn.pairing,
        plain.gap, plain.first_ts, plain.last_ts, plain.late, plain.charge_point, plain.meter
    from concerned
    left join received using (bucket, vehicle)
    left join drawn using (bucket, vehicle)
    left join plain using (bucket, vehicle)
    where received.readings > 0 or drawn.readings > 0
),
gone as (
    delete from charging_15m as charging
    using concerned
    where
        charging.vehicle = concerned.vehicle and charging.bucket = concerned.bucket
        and not exists (select from computed where (computed.bucket, computed.vehicle) = (concerned.bucket, concerned.vehicle))
),
stored as (
    insert into charging_15m (
        bucket, ac, dc, temperatures, vehicle_readings, meter_readings, events, pairing, paired, vehicle,
        gap, first_ts, last_ts, late, charge_point, meter
    )
    select
        bucket, ac, dc, temperatures, vehicle_readings, meter_readings, events, pairing,
        5 * least(vehicle_readings, meter_readings) >= 4 * greatest(vehicle_readings, meter_readings), vehicle,
        gap, first_ts, last_ts, late, charge_point, meter
    from computed
    order by vehicle, bucket
    on conflict (vehicle, bucket) do update
    set (
        ac, dc, temperatures, vehicle_readings, meter_readings, events, pairing, paired,
        gap, first_ts, last_ts, late, charge_point, meter
    ) = (
        excluded.ac, excluded.dc, excluded.temperatures, excluded.vehicle_readings, excluded.meter_readings,
        excluded.events, excluded.pairing, excluded.paired,
        excluded.gap, excluded.first_ts, excluded.last_ts, excluded.late, excluded.charge_point, excluded.meter
    )
),
noted as (
    insert into charging_24h (vehicle)
    select distinct vehicle from concerned order by vehicle
    on conflict (vehicle) do update set stale = true where not charging_24h.stale
),
unclaimed as materialized (
    select bucket, charge_point, pooled.ac, pooled.readings
    from pooled
    join places using (bucket, charge_point)
    where not exists (
        select from pools where (pools.bucket, pools.charge_point) = (pooled.bucket, pooled.charge_point)
    )
),
claimed as (
    delete from unattributed_15m as unattributed
    using places
    where
        unattributed.bucket = places.bucket and unattributed.charge_point = places.charge_point
        and not exists (
            select from unclaimed where (unclaimed.bucket, unclaimed.charge_point) = (places.bucket, places.charge_point)
        )
)
insert into unattributed_15m (bucket, ac, readings, charge_point)
select bucket, ac, readings, charge_point from unclaimed
on conflict (bucket, charge_point) do update set (ac, readings) = (excluded.ac, excluded.readings)
