-- Where the computation of each register device can begin: the last bucket with readings before $2, and the last accepted
-- reading before it. $1 devices, $2 buckets, $3 kind.
select span.device, baseline.bucket, baseline.ts, baseline.kwh
from unnest($1::text[], $2::timestamptz[]) as span (device, since)
cross join lateral (
    select bucket, ts, kwh
    from register_baselines
    where device = span.device and kind = $3 and bucket < span.since
    order by bucket desc
    limit 1
) as baseline
