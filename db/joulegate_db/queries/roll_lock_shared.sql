-- Held by a writer to its commit: the roller cannot close a bucket under it. The mark is read by a later statement, hence after it.
select pg_advisory_xact_lock_shared(hashtext('joulegate.close'))
