-- Everybody was at their charge point in the buckets of [$1, $2).
insert into presence (bucket, charge_point, kind, device)
select bucket, place, kind, device
from fleet
cross join generate_series($1::timestamptz, $2::timestamptz - interval '1 us', interval '15 minutes') as bucket
cross join lateral (values ('meter', meter), ('vehicle', vehicle)) as seen (kind, device)
order by place, bucket, kind
