-- One migration at a time, whoever starts it. A session lock: it spans the migrations' transactions.
select pg_advisory_lock(hashtext('joulegate.migrate'))
