-- Takes all marks of up to $1 closed and rolled (device, bucket): a bucket that many batches touched is rolled once.
with chosen as (
    select distinct marks.kind, marks.device, marks.bucket
    from rollup_marks as marks, roll_state
    where marks.bucket < roll_state.rolled_until
    order by marks.bucket, marks.kind, marks.device
    limit $1
),
taken as (
    delete from rollup_marks as marks
    using chosen
    where (marks.kind, marks.device, marks.bucket) = (chosen.kind, chosen.device, chosen.bucket)
)
select kind, device, bucket from chosen order by kind, device, bucket
