-- Where the database's transactions are: the oldest that may still commit (all before it are seen, or never will be), the next, and the time.
-- pg_snapshot_xmax is next or a little less; both are numbers that do not wrap.
select
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next,
    extract(epoch from clock_timestamp())::bigint as seconds
