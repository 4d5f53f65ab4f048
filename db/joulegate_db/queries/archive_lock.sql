-- archive_lock
-- One archive or restore at a time, for as long as the connection lasts. False while another one runs.
select pg_try_advisory_lock(hashtext('joulegate.archive'))
