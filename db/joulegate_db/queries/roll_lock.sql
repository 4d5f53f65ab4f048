-- One roller at a time, for as long as its connection lasts.
select pg_try_advisory_lock(hashtext('joulegate.roller'))
