-- From where on a register's rollups cannot be relied on yet: the last rolled bucket with readings before the first mark (its last reading
-- may still wait for the next one), and the last accepted reading before it. Null: from the beginning of history.
-- $1 devices, $2 first marks (null when there are none), $3 kind.
select wanted.device, baseline.bucket, baseline.ts, baseline.kwh
from unnest($1::text[], $2::timestamptz[]) as wanted (device, marked)
left join lateral (
    select bucket, ts, kwh
    from register_baselines
    where device = wanted.device and kind = $3 and bucket < coalesce(wanted.marked, 'infinity')
    order by bucket desc
    limit 1
) as baseline on true
