-- archive_hole
-- Whether anything was measured in [$1, $2), by the rollups, which are kept when history is archived.
select
    exists (select from meter_rollup_15m where bucket >= $1 and bucket < $2)
    or exists (select from vehicle_rollup_15m where bucket >= $1 and bucket < $2)
