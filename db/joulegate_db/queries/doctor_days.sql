-- doctor_days
-- The days that have a partition in both histories, and the bytes of the newest full day before $1, a UTC date.
with parts as (
    select inhparent, inhrelid, to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD') as day
    from pg_inherits
    where inhparent in ('meter_history'::regclass, 'vehicle_history'::regclass)
)
select
    array(select day from parts group by day having count(*) = 2 order by day) as days,
    (select sum(pg_total_relation_size(inhrelid))::bigint from parts where day = $1::date - 1) as yesterday
