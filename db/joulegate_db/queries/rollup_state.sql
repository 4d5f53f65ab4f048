-- Where the rollups stand, and what they are computed with. `since`: from where on both histories are there, so that rollups can be
-- computed anew; null when there is no such day.
select
    closed_until, rolled_until, meter_energy, vehicle_energy, max_kw, look_back,
    (
        select max(first_day)::timestamp at time zone 'UTC'
        from (
            select min(to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD')) as first_day
            from pg_inherits
            where inhparent in ('meter_history'::regclass, 'vehicle_history'::regclass)
            group by inhparent
        ) as histories
        having count(*) = 2
    ) as since
from roll_state
