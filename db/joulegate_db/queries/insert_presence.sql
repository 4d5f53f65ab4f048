-- Marks who was at which charge point in which bucket. $1 charge points, $2 buckets, $3 kinds, $4 devices, sorted by key.
insert into presence (charge_point, bucket, kind, device)
select * from unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[])
on conflict do nothing
