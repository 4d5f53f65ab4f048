-- archive_tables
-- Every table that holds a day of history, or held it: its stream, its day, and whether it is attached, half detached (`pending`), or alone.
select
    split_part(child.relname, '_', 1) as stream, to_date(right(child.relname, 8), 'YYYYMMDD') as day, child.relname as name,
    inhparent is not null and not inhdetachpending as attached, coalesce(inhdetachpending, false) as pending
from pg_class as child
left join pg_inherits on inhrelid = child.oid
where
    child.relnamespace = 'public'::regnamespace and child.relkind = 'r'
    and child.relname ~ '^(meter|vehicle)_history_[0-9]{8}$'
order by day, stream
