-- Held by a writer to its commit: the roller cannot close a bucket under it. The mark is read by a later statement, hence after it.
-- Returns the number of the writer's transaction, for its live rows: a node of a cluster would evaluate the function to one of its own.
select pg_current_xact_id() from pg_advisory_xact_lock_shared(hashtext('joulegate.close'))
