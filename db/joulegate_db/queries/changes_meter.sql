-- Rows that transaction $1 or a later one, before $2, wrote: those of a transaction that commits late are among them. What is restored from another
-- database may have numbers that this one has not reached. Live tables have no index to find them by, for updates must stay HOT; the table is read
-- once for all who look, and alone: where it is distributed (docs/adr/0008) what changed comes to the coordinator, and nothing goes to the shards.
-- $3 the oldest time at which a reading is not stale.
with changed as materialized (
    select device, charge_point, ts, received_at, kwh, voltage, charging, written
    from meter_live
    where written >= $1 and written < $2
)
select
    changed.device as meter_id, changed.charge_point, changed.ts as "timestamp", changed.received_at, changed.kwh as kwh_consumed_ac,
    changed.voltage::text::double precision as voltage,
    changed.charging and changed.ts >= $3 as charging, changed.ts < $3 as stale,
    coalesce(declared.energy, roll_state.meter_energy) = 'register' as is_register, changed.written
from changed
cross join roll_state
left join devices as declared on declared.device = changed.device and declared.kind = 'meter'
order by changed.device
