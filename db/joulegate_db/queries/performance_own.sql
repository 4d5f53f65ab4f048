-- The vehicle's own readings by charge point and bucket, in whole buckets: whoever was there with it is found by them, and
-- shares go by `bucket_dc`. What the answer sums is only what lies inside the window.
-- $1 vehicle, $2 and $3 the window [from, to), $4 and $5 the window widened to whole buckets.
-- `gap`: a reading's distance d to the one before it (or to the window's edge) counts d - 60 s when d > 90 s.
with reading as (
    select
        charge_point, date_bin('15 minutes', ts, timestamptz 'epoch') as bucket, ts, kwh, battery_temp,
        ts >= $2 and ts < $3 as inside,
        ts - greatest(lag(ts) over (order by ts), $2) as distance -- greatest() passes over null
    from vehicle_history
    where device = $1 and ts >= $4 and ts < $5
)
select
    charge_point,
    bucket,
    sum(kwh) as bucket_dc,
    count(*) filter (where inside) as readings,
    coalesce(sum(kwh) filter (where inside), 0) as dc,
    coalesce(sum(battery_temp) filter (where inside), 0) as temperatures,
    coalesce(sum(distance - interval '60 seconds') filter (where inside and distance > interval '90 seconds'), interval '0') as gap,
    max(ts) filter (where inside) as newest
from reading
group by charge_point, bucket
order by charge_point, bucket
