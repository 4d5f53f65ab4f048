-- wait_for_writers
-- As a bucket is closed (roll_close): after the writers that are in the middle of a transaction, and before those that come.
select pg_advisory_xact_lock(hashtext('joulegate.close'))
