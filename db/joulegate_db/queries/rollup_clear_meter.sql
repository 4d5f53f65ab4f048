-- Removes the meter rollups of the buckets in [$1, $2). Device by device, because the primary key leads with the device.
delete from meter_rollup_15m as rollup
using devices
where devices.kind = 'meter' and rollup.device = devices.device and rollup.bucket >= $1 and rollup.bucket < $2
