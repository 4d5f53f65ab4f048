-- Cheap: only pages that changed since the last time are visited. Never waits for a lock. The marks: what was taken would be passed by every answer.
vacuum (skip_locked, truncate off) charging_15m, charging_marks, rollup_marks
