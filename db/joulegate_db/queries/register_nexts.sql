-- The first rolled bucket with readings from $2 on, of each device, and its last accepted reading before: where a computation can
-- begin, and a recomputation end when it finds the same. $1 devices, $2 buckets, $3 kind.
select span.device, span.since, baseline.bucket, baseline.ts, baseline.kwh
from unnest($1::text[], $2::timestamptz[]) as span (device, since)
cross join lateral (
    select bucket, ts, kwh
    from register_baselines
    where device = span.device and kind = $3 and bucket >= span.since
    order by bucket
    limit 1
) as baseline
