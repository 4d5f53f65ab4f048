-- Removes the meter rollups of the buckets in [$1, $2). Device by device, because the primary key leads with the device.
with removed as (
    delete from meter_rollup_15m as rollup
    using devices
    where devices.kind = 'meter' and rollup.device = devices.device and rollup.bucket >= $1 and rollup.bucket < $2
    returning rollup.device, rollup.bucket, rollup.charge_point, rollup.linked_vehicle
)
insert into rollup_touched (kind, device, bucket, charge_point, linked_vehicle)
select 'meter', device, bucket, charge_point, linked_vehicle from removed
