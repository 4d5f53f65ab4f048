-- Marks all rolled buckets of the meters $1. Rollups of archived days, older than the first partition of history, stay as they are.
insert into rollup_marks (device, kind, bucket, charge_point)
select distinct device, 'meter', bucket, charge_point
from meter_rollup_15m
where
    device = any($1::text[])
    and bucket >= (
        select min(to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD'))::timestamp at time zone 'UTC'
        from pg_inherits
        where inhparent = 'meter_history'::regclass
    )
order by device, bucket
