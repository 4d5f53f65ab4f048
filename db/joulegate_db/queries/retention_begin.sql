-- retention_begin
-- From when on there are partitions of rollups; null without any.
select min(to_date(right(relname, 6), 'YYYYMM'))::timestamp at time zone 'UTC'
from pg_inherits
join pg_class on oid = inhrelid
where inhparent in ('meter_rollup_15m'::regclass, 'vehicle_rollup_15m'::regclass)
