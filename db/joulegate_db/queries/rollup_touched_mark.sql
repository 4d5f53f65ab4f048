-- Leaves marks of what this transaction changed in the rollups: what is to be attributed anew, and which devices were at several charge points of a
-- bucket. Part of that transaction: a change cannot be committed without being attributed later, a crash in between included.
-- A plain answer looks for marks at its charge points only (performance_plain.sql): so a vehicle that was elsewhere, too, leaves a mark also where its
-- row in charging_15m says that it was.
with marked as (
    insert into charging_marks (bucket, charge_point, vehicle)
    select bucket, charge_point, linked_vehicle from rollup_touched
    union
    select charging.bucket, charging.charge_point, ''
    from rollup_touched as touched
    join charging_state as state on touched.bucket < state.attributed_until
    cross join lateral (
        select bucket, charge_point
        from charging_15m
        where vehicle = touched.device and bucket = touched.bucket and charge_point <> touched.charge_point
        offset 0
    ) as charging
    where touched.kind = 'vehicle'
)
insert into place_turns (bucket, device, kind)
select bucket, device, kind from rollup_touched group by kind, device, bucket having min(charge_point) <> max(charge_point)
on conflict (device, kind, bucket) do update set returns = null
