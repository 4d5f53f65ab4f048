-- Every device of the fleet, known and alive at $1.
with known as (
    insert into devices (device, kind)
    select meter, 'meter' from fleet
    union all
    select vehicle, 'vehicle' from fleet
),
meters as (
    insert into meter_live (ts, received_at, kwh, voltage, charging, device, charge_point)
    select $1::timestamptz, $1, 0.1, 230, true, meter, place from fleet
)
insert into vehicle_live (ts, received_at, kwh, battery_temp, soc, charging, device, charge_point)
select $1, $1, 0.09, 25, 50, true, vehicle, place from fleet
