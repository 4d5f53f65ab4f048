-- How many buckets of devices wait to be computed anew.
select count(*) from (select distinct device, kind, bucket from rollup_marks) as waiting
