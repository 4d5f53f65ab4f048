-- Counts, for up to $1 of the newest candidates, how often a device came back to a charge point within $2 although it had reported from another one
-- meanwhile: a few times it was on the move past two skewed clocks; two devices under one name do it all the time. From history, by its primary key.
with waiting as (
    select kind, device, bucket from place_turns where returns is null order by bucket desc, device limit $1
),
reading as (
    select kind, waiting.device, bucket, ts, charge_point
    from waiting
    cross join lateral (
        select ts, charge_point
        from meter_history
        where device = waiting.device and ts >= waiting.bucket and ts < waiting.bucket + interval '15 minutes'
    ) as measured
    where kind = 'meter'
    union all
    select kind, waiting.device, bucket, ts, charge_point
    from waiting
    cross join lateral (
        select ts, charge_point
        from vehicle_history
        where device = waiting.device and ts >= waiting.bucket and ts < waiting.bucket + interval '15 minutes'
    ) as measured
    where kind = 'vehicle'
),
numbered as (
    select *, row_number() over (partition by kind, device, bucket order by ts) as number from reading
),
beside as (
    select
        *, number - lag(number) over same_place as step, ts - lag(ts) over same_place as distance
    from numbered
    window same_place as (partition by kind, device, bucket, charge_point order by ts)
),
counted as (
    select
        kind, device, bucket, count(*) filter (where step > 1 and distance <= $2) as returns,
        min(charge_point) || ' and ' || max(charge_point) as places
    from beside
    group by kind, device, bucket
)
update place_turns as judged
set returns = coalesce(counted.returns, 0), places = counted.places
from waiting
left join counted using (kind, device, bucket)
where (judged.kind, judged.device, judged.bucket) = (waiting.kind, waiting.device, waiting.bucket)
