-- How many readings the rollups of the buckets from $1 on hold.
select
    coalesce((select sum(readings) from meter_rollup_15m where bucket >= $1), 0)
    + coalesce((select sum(readings) from vehicle_rollup_15m where bucket >= $1), 0)
