-- Rows that transaction $1 or a later one, before $2, wrote: those of a transaction that commits late are among them. What is restored from another
-- database may have numbers that this one has not reached. Live tables have no index to find them by, for updates must stay HOT; the table is read
-- once for all who look, and alone: where it is distributed (docs/adr/0008) what changed comes to the coordinator, and nothing goes to the shards.
-- $3 the oldest time at which a reading is not stale.
with changed as materialized (
    select device, charge_point, ts, received_at, kwh, battery_temp, soc, charging, written
    from vehicle_live
    where written >= $1 and written < $2
)
select
    changed.device as vehicle_id, changed.charge_point, changed.ts as "timestamp", changed.received_at,
    changed.soc::text::double precision as soc, changed.kwh as kwh_delivered_dc, changed.battery_temp,
    changed.charging and changed.ts >= $3 as charging, changed.ts < $3 as stale,
    coalesce(declared.energy, roll_state.vehicle_energy) = 'register' as is_register, changed.written
from changed
cross join roll_state
left join devices as declared on declared.device = changed.device and declared.kind = 'vehicle'
order by changed.device
