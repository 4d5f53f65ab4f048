-- The last state of charge in each step: $1 the vehicle, $2 and $3 the steps' beginnings and ends; $4 and $5 bound them all and leave out partitions.
-- One reading a step is looked up, not read past. A real is printed and read back, so that 55.5 stays 55.5.
select step.number, last.soc
from (select * from unnest($2::timestamptz[], $3::timestamptz[]) with ordinality as step (since, until, number)) as step
cross join lateral (
    select soc::text::double precision as soc
    from vehicle_history
    where device = $1 and ts >= step.since and ts < step.until and ts >= $4 and ts < $5
    order by ts desc
    limit 1
) as last
