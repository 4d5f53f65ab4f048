-- Taken before quarantine is looked at, held to the commit: changes of quarantine take turns (migration 0004).
-- For the rest of the transaction rows are looked up by the index, also by a plan that is made while the table is small and used when it is large.
select pg_advisory_xact_lock(hashtext('joulegate.quarantine')), set_config('enable_seqscan', 'off', true)
