-- roll_until
-- Up to when rollups are computed; the epoch when none are.
select rolled_until from roll_state
