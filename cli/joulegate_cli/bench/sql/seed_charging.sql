-- Attributed energies of the buckets of [$1, $2), as of complete readings, and vehicles whose sums are to be computed.
with sums as (
    insert into charging_24h (vehicle) select vehicle from fleet
)
insert into charging_15m (
    bucket, ac, dc, temperatures, vehicle_readings, meter_readings, events, pairing, paired, vehicle
)
select bucket, 1.5, 1.2 + n % 300 / 1000.0, 400, 15, 15, 0, 2, true, vehicle
from generate_series($1::timestamptz, $2::timestamptz - interval '1 us', interval '15 minutes') as bucket cross join fleet
order by bucket, vehicle
