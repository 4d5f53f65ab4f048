-- The rollups before $1 are computed.
update roll_state set rolled_until = greatest(rolled_until, $1)
