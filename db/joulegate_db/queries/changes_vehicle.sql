-- Rows that transaction $1 or a later one wrote, as seen by age: those of a transaction that commits late are among them. Live tables have no
-- index to find them by, for updates must stay HOT; the table is read once for all who look. $2 the oldest time at which a reading is not stale.
select
    live.device as vehicle_id, live.charge_point, live.ts as "timestamp", live.received_at,
    live.soc::text::double precision as soc, live.kwh as kwh_delivered_dc, live.battery_temp,
    live.charging and live.ts >= $2 as charging, live.ts < $2 as stale,
    coalesce(declared.energy, roll_state.vehicle_energy) = 'register' as is_register, live.xmin::text::bigint as transaction
from vehicle_live as live
cross join roll_state
left join devices as declared on declared.device = live.device and declared.kind = 'vehicle'
where age(live.xmin) <= (select age($1::bigint::text::xid8::xid))
order by live.device
