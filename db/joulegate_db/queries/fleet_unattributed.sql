-- AC in kWh in the buckets of [$1, $2) that belongs to no vehicle. One range of the primary key's index.
select coalesce(sum(ac), 0) from unattributed_15m where bucket >= $1 and bucket < $2
