-- Cheap: only pages that changed since the last time are visited. Never waits for a lock.
vacuum (skip_locked, truncate off) charging_15m
