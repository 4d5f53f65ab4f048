-- Bytes of each kind of table: its partitions together, the heap with its maps apart from the indexes. What is empty does not count.
with relation as (
    select
        oid, regexp_replace(relname, '_\d{6,8}$', '') as name,
        pg_table_size(oid) as heap, pg_indexes_size(oid) as indexes
    from pg_class
    where relkind = 'r' and relnamespace = 'public'::regnamespace and pg_relation_size(oid) > 0
)
select name, sum(heap)::bigint as heap, sum(indexes)::bigint as indexes
from relation
group by name
