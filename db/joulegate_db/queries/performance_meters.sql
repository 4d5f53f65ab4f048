-- What meters measured during their stays, by bucket: one range of the primary key a stay.
-- $1 devices, $2 charge points, $3 starts, $4 ends (cut to the window); $5 and $6 bound all of them and leave out partitions.
select stay.device, stay.charge_point, cell.bucket, cell.readings, cell.kwh
from unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[]) as stay (device, charge_point, since, until)
cross join lateral (
    select date_bin('15 minutes', ts, timestamptz 'epoch') as bucket, count(*) as readings, sum(kwh) as kwh
    from meter_history
    where
        device = stay.device and charge_point = stay.charge_point
        and ts >= stay.since and ts < stay.until and ts >= $5 and ts < $6
    group by 1
) as cell
