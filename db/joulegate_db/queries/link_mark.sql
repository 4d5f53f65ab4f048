-- Marks the rolled buckets in which a meter's links changed: $1 meters, $2 and $3 from and to when (null: without end). A bucket that the
-- change begins or ends in is touched. Rollups of archived days, older than the first partition of history, stay as they are.
insert into rollup_marks (device, kind, bucket, charge_point)
select distinct rollup.device, 'meter', rollup.bucket, rollup.charge_point
from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as changed (meter, since, until)
cross join lateral (
    select device, bucket, charge_point
    from meter_rollup_15m
    where
        device = changed.meter
        and bucket > changed.since - interval '15 minutes' and bucket < coalesce(changed.until, 'infinity')
) as rollup
where rollup.bucket >= (
    select min(to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD'))::timestamp at time zone 'UTC'
    from pg_inherits
    where inhparent = 'meter_history'::regclass
)
order by rollup.device, rollup.bucket
