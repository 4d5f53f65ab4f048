-- Where the database's transactions are: `oldest` and all later ones may still commit or be seen only now, `next` and all later ones are not looked
-- for yet. And the time, and which database this is.
--
-- A transaction is over for this statement's snapshot a little before it gives up its lock of its own number. Where live rows are distributed the
-- workers commit in between (docs/adr/0008): who still holds that lock may not be through. The locks are read after the snapshot is taken, and
-- live rows after both, so that what is older than `oldest` is there, or never will be. Of a lock's number 32 bits are known.
-- A database that was restored counts on from its backup's number, hence `database`: another server, or another timeline of the same. A server
-- that was promoted says its timeline in its point of recovery until it has written a checkpoint.
with snapshot as (
    select
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint as oldest,
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next
),
held as (
    select min(next - behind) as oldest
    from snapshot
    cross join pg_locks
    cross join lateral (select (next - transactionid::text::bigint) & 4294967295) as distance (behind)
    where locktype = 'transactionid' and mode = 'ExclusiveLock' and granted and behind < 2147483648
)
select
    least(snapshot.oldest, held.oldest) as oldest, snapshot.next, pg_is_in_recovery() as in_recovery,
    extract(epoch from clock_timestamp())::bigint as seconds,
    left(md5(concat_ws(' ', system_identifier, pg_database.oid, greatest(timeline_id, min_recovery_end_timeline))), 8) as database
from snapshot
cross join held
cross join pg_control_system()
cross join pg_control_checkpoint()
cross join pg_control_recovery()
join pg_database on datname = current_database()
