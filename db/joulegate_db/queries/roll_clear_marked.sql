-- Removes the meter rollups of buckets that are about to be computed anew: a changed link moves readings to another row.
-- $1 devices, $2 buckets.
with removed as (
    delete from meter_rollup_15m as rollup
    using (select * from unnest($1::text[], $2::timestamptz[]) as touched (device, bucket)) as touched
    where rollup.device = touched.device and rollup.bucket = touched.bucket
    returning rollup.device, rollup.bucket, rollup.charge_point, rollup.linked_vehicle
)
insert into rollup_touched (kind, device, bucket, charge_point, linked_vehicle)
select 'meter', device, bucket, charge_point, linked_vehicle from removed
