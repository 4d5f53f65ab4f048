-- Closes the buckets before $1 and returns where the rollups stand. Waits for the writers that are in the middle of a transaction.
with locked as materialized (select pg_advisory_xact_lock(hashtext('joulegate.close')))
update roll_state
set closed_until = greatest(closed_until, $1)
from locked
returning rolled_until, closed_until
