-- The newest measured times of the meters $1 and the vehicles $2, epoch milliseconds.
select device, (extract(epoch from ts) * 1000)::bigint as ts from meter_live where device = any($1::text[])
union all
select device, (extract(epoch from ts) * 1000)::bigint as ts from vehicle_live where device = any($2::text[])
