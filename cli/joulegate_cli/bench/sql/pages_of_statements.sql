-- Pages of shared buffers that all statements in this database touched since the reset.
select coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint
from pg_stat_statements
where dbid = (select oid from pg_database where datname = current_database())
