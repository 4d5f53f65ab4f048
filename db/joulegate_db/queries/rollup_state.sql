-- Where the rollups stand, and what they are computed with. `since`: from where on both histories are there, so that rollups can be
-- computed anew; null when there is no such day. What was archived stays as it is, though an empty partition may be there again.
select
    closed_until, rolled_until, meter_energy, vehicle_energy, max_kw, look_back,
    (
        select greatest(max(first_day)::timestamp at time zone 'UTC', archived_until)
        from (
            select min(to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD')) as first_day
            from pg_inherits
            where inhparent in ('meter_history'::regclass, 'vehicle_history'::regclass)
            group by inhparent
        ) as histories
        having count(*) = 2
    ) as since
from roll_state
