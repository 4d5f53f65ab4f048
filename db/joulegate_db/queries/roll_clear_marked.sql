-- Removes the meter rollups of buckets that are about to be computed anew: a changed link moves readings to another row.
-- $1 devices, $2 buckets.
delete from meter_rollup_15m as rollup
using unnest($1::text[], $2::timestamptz[]) as touched (device, bucket)
where rollup.device = touched.device and rollup.bucket = touched.bucket
