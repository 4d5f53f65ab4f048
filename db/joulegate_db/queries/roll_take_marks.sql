-- Takes all marks of up to $1 closed and rolled (device, bucket): a bucket that many batches touched is rolled once.
-- Those of archived days are thrown away: what history has of such a day is not all of it.
with archived as (
    delete from rollup_marks where bucket < (select archived_until from roll_state)
),
chosen as (
    select distinct marks.kind, marks.device, marks.bucket
    from rollup_marks as marks, roll_state
    where marks.bucket < roll_state.rolled_until and marks.bucket >= roll_state.archived_until
    order by marks.bucket, marks.kind, marks.device
    limit $1
),
taken as (
    delete from rollup_marks as marks
    using chosen
    where (marks.kind, marks.device, marks.bucket) = (chosen.kind, chosen.device, chosen.bucket)
)
select kind, device, bucket from chosen order by kind, device, bucket
