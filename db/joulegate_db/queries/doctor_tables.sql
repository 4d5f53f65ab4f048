-- doctor_tables
-- Tables of some size with many dead rows: by the statistics, nothing is scanned. $1 the least bytes, $2 dead rows for each live one.
select relname as name, n_live_tup as live, n_dead_tup as dead, pg_relation_size(relid) as octets, last_autovacuum
from pg_stat_user_tables
where
    n_dead_tup > $2 * greatest(n_live_tup, 1)
    and n_dead_tup > 10000
    and pg_relation_size(relid) >= $1
order by n_dead_tup desc
limit 5
