select pg_advisory_unlock(hashtext('joulegate.migrate'))
