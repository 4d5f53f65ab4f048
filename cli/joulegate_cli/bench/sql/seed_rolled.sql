-- Rollups and attribution stand at $1.
with rolled as (
    update roll_state set closed_until = $1::timestamptz, rolled_until = $1
)
update charging_state set attributed_until = $1, stale = true
