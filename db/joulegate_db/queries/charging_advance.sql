-- Notes how far attribution has come: up to the first bucket that still waits for its first time, and never further than the rollups.
-- $1 whether something was attributed.
update charging_state as state
set attributed_until = reached.until, stale = true
from (
    select least(
        rolled_until,
        (select min(bucket) from charging_marks where bucket >= least(attributed_until, rolled_until))
    ) as until
    from charging_state, roll_state
) as reached
where $1 or state.attributed_until <> reached.until
