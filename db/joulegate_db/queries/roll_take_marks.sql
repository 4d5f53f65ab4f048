-- Takes up to $1 marks of closed and rolled buckets.
with taken as (
    delete from rollup_marks
    where ctid in (
        select marks.ctid from rollup_marks as marks, roll_state where marks.bucket < roll_state.rolled_until limit $1
    )
    returning device, kind, bucket
)
select distinct kind, device, bucket from taken order by kind, device, bucket
