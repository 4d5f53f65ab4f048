-- Held to the end of its transaction by whoever changes links or declarations, and by each step of the roller: one at a time.
select pg_advisory_xact_lock(hashtext('joulegate.declarations'))
