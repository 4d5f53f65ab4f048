-- Who else was where the vehicle was, as stays: runs of consecutive buckets, so that history is read in few long ranges.
-- $1 the vehicle; its own stays: $2 charge points, $3 starts, $4 ends.
-- In a run of consecutive buckets the difference of bucket and row number is constant.
with together as (
    select
        stay.charge_point, seen.kind, seen.device, seen.bucket,
        row_number() over (partition by stay.charge_point, seen.kind, seen.device order by seen.bucket) as nth
    from unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) as stay (charge_point, since, until)
    cross join lateral (
        select kind, device, bucket
        from presence
        where charge_point = stay.charge_point and bucket >= stay.since and bucket < stay.until
        offset 0 -- keeps the planner on one range of the primary key a stay
    ) as seen
    where (seen.kind, seen.device) <> ('vehicle', $1)
)
select kind, device, charge_point, min(bucket) as start, max(bucket) + interval '15 minutes' as "end"
from together
group by kind, device, charge_point, bucket - nth * interval '15 minutes'
order by kind, device, start
