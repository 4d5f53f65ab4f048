-- A page of vehicles in the order of their ids, with their last 24 h. $1 after this id, $2 how many, $3 the oldest time at which a reading is
-- not stale, $4 charging, $5 stale, $6 status (null: any), $7 degraded under this ratio, $8 the readings that 24 h should have.
-- Whether a register charges only its readings say: the live row's flag does not, so those that may are all given.
-- The cursor bounds each joined table too: a merge begins there, not at the first id.
with listed as (
    select
        live.device as vehicle_id, live.charge_point, live.ts as "timestamp", live.received_at,
        live.soc::text::double precision as soc, live.kwh as kwh_delivered_dc, live.battery_temp,
        live.charging and live.ts >= $3 as charging, live.ts < $3 as stale,
        case when day.ac > 0 then day.dc / day.ac end as efficiency_ratio,
        case
            when day.judged_dc > day.judged_ac then 'implausible'
            when day.judged_dc / nullif(day.judged_ac, 0) < $7 then 'degraded'
            when day.judged_dc / nullif(day.judged_ac, 0) >= $7 then 'ok'
            else 'unknown'
        end as status,
        coalesce(day.pairing, 0) as pairing,
        least(1, coalesce(day.vehicle_readings, 0) / $8::double precision) as coverage,
        coalesce(declared.energy, roll_state.vehicle_energy) = 'register' as is_register
    from vehicle_live as live -- listed, from $1 on
    cross join roll_state
    left join devices as declared on declared.device = live.device and declared.kind = 'vehicle' and declared.device > $1
    left join charging_24h as day on day.vehicle = live.device and day.vehicle > $1
)
select *
from listed
where
    vehicle_id > $1
    and ($5::boolean is null or stale = $5)
    and ($6::text is null or status = $6)
    and ($4::boolean is null or charging = $4 or (is_register and not stale))
order by vehicle_id
limit $2
