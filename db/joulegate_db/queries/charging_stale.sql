select stale from charging_state
