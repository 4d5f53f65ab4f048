-- doctor_late
-- How many readings measured since $1 came late, among at most $2 of each stream: found by block ranges, so that a large day is not read.
select count(*) as readings, count(*) filter (where late) as late
from (
    (select late from meter_history where ts >= $1 limit $2)
    union all
    (select late from vehicle_history where ts >= $1 limit $2)
) as recent
