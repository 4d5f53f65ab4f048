-- Four full days of a fleet that ends at the setting test.last, in the order of time, as readings come in life.
-- v-1 and v-2 share the charge point of m-1; all others have one of their own.
create temporary table fleet as
select
    n, 'm-' || n as meter, 'v-' || n as vehicle, 'cp-' || n as place,
    'cp-' || case n when 2 then 1 else n end as vehicle_place
from generate_series(1, 200) as n;

create temporary table times as
select ts
from current_setting('test.last') as last,
    generate_series(last::timestamptz - interval '4 days', last::timestamptz - interval '1 second', interval '5 minutes') as ts;

insert into meter_history (ts, kwh, voltage, late, device, charge_point)
select ts, 1, 230, false, meter, place from times cross join fleet order by ts, n;

insert into vehicle_history (ts, kwh, battery_temp, soc, late, device, charge_point)
select ts, 0.9, 30, 50, false, vehicle, vehicle_place from times cross join fleet order by ts, n;

insert into presence (bucket, charge_point, kind, device)
select distinct date_bin('15 minutes', ts, 'epoch'), charge_point, 'meter', device from meter_history
union all
select distinct date_bin('15 minutes', ts, 'epoch'), charge_point, 'vehicle', device from vehicle_history;

insert into devices (device, kind)
select 'm-' || n, 'meter' from generate_series(1, 5000) as n
union all
select 'v-' || n, 'vehicle' from generate_series(1, 5000) as n;

insert into meter_live (ts, received_at, kwh, voltage, charging, device, charge_point)
select now(), now(), 1, 230, true, 'm-' || n, 'cp' from generate_series(1, 5000) as n;

insert into vehicle_live (ts, received_at, kwh, battery_temp, soc, charging, device, charge_point)
select now(), now(), 1, 30, 50, true, 'v-' || n, 'cp' from generate_series(1, 5000) as n;
