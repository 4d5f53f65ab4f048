-- Energies of [$1, $2) by minute and stream, in kWh. A register's reading counts its difference to the one before, looked for since $3, unless
-- it is a decrease or more than the hardware can deliver in the time: then it counts nothing, as in docs/energy.md.
with declared as materialized (
    select
        device, kind, coalesce(devices.max_kw, defaults.max_kw) as max_kw,
        coalesce(energy, case kind when 'meter' then meter_energy else vehicle_energy end) = 'register' as is_register
    from devices cross join roll_state as defaults
),
readings as (
    select 'meter' as kind, device, ts, kwh from meter_history where ts >= $3 and ts < $2
    union all
    select 'vehicle', device, ts, kwh from vehicle_history where ts >= $3 and ts < $2
),
differences as (
    select
        kind, ts, max_kw, kwh - lag(kwh) over of_device as kwh,
        extract(epoch from ts - lag(ts) over of_device) / 3600 as hours
    from readings join declared using (device, kind)
    where is_register
    window of_device as (partition by kind, device order by ts)
),
energies as (
    select kind, ts, kwh from readings join declared using (device, kind) where not is_register and ts >= $1
    union all
    select kind, ts, kwh from differences where ts >= $1 and kwh >= 0 and kwh <= max_kw * hours
)
select
    date_trunc('minute', ts, 'UTC') as minute, sum(kwh) filter (where kind = 'meter') as ac,
    sum(kwh) filter (where kind = 'vehicle') as dc
from energies
group by 1
order by 1
