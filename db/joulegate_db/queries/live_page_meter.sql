-- A page of meters in the order of their ids. $1 after this id, $2 how many, $3 the oldest time at which a reading is not stale,
-- $4 charging, $5 stale (null: any).
-- Whether a register charges only its readings say: the live row's flag does not, so those that may are all given.
-- The cursor bounds each joined table too: a merge begins there, not at the first id.
select
    live.device as meter_id, live.charge_point, live.ts as "timestamp", live.received_at, live.kwh as kwh_consumed_ac,
    live.voltage::text::double precision as voltage, live.charging and live.ts >= $3 as charging, live.ts < $3 as stale,
    coalesce(declared.energy, roll_state.meter_energy) = 'register' as is_register
from meter_live as live -- listed, from $1 on
cross join roll_state
left join devices as declared on declared.device = live.device and declared.kind = 'meter' and declared.device > $1
where
    live.device > $1
    and ($5::boolean is null or (live.ts < $3) = $5)
    and (
        $4::boolean is null
        or (live.charging and live.ts >= $3) = $4
        or (coalesce(declared.energy, roll_state.meter_energy) = 'register' and live.ts >= $3)
    )
order by live.device
limit $2
