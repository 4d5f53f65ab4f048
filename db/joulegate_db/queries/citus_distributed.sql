-- The tables that are distributed, of the names $1. Only where citus is installed: the list is its own.
select relname
from pg_dist_partition
join pg_class on oid = logicalrelid
where partmethod = 'h' and relname = any($1::text[]) and relnamespace = 'public'::regnamespace
order by relname
