-- How many other vehicles were at a charge point in a bucket, and the DC they received: one range of the primary key a stay.
-- $1 devices, $2 charge points, $3 starts, $4 ends (whole buckets); $5 and $6 bound all of them and leave out partitions.
select stay.charge_point, cell.bucket, count(*) as vehicles, sum(cell.kwh) as dc
from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[]) as stay (device, charge_point, since, until)
cross join lateral (
    select date_bin('15 minutes', ts, timestamptz 'epoch') as bucket, sum(kwh) as kwh
    from vehicle_history
    where
        device = stay.device and charge_point = stay.charge_point
        and ts >= stay.since and ts < stay.until and ts >= $5 and ts < $6
    group by 1
) as cell
group by stay.charge_point, cell.bucket
