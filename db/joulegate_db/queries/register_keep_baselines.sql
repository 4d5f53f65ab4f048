-- $1 devices, $2 kind, $3 buckets, $4 times and $5 kWh of the last accepted readings before (null when there is none).
insert into register_baselines (device, kind, bucket, ts, kwh)
select device, $2, bucket, ts, kwh
from unnest($1::text[], $3::timestamptz[], $4::timestamptz[], $5::double precision[]) as kept (device, bucket, ts, kwh)
on conflict (device, kind, bucket) do update
set (ts, kwh) = (excluded.ts, excluded.kwh)
