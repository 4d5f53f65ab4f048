-- doctor_quarantine
-- What quarantine holds of each reason, and how much of it came since $1, among the newest $2 rows: the table may be large.
with newest as (
    select reason, count, last_seen, topic
    from quarantine
    order by id desc
    limit $2
),
recent as (
    select reason, count(*) as number, (array_agg(distinct split_part(left(topic, 80), '/', 2)))[1:5] as places
    from newest
    where last_seen >= $1
    group by reason
)
select
    totals.reason, kept_rows, kept_octets, kept_messages, overflowed, last_overflow,
    coalesce(recent.number, 0) as recent, coalesce(recent.places, '{}') as places
from quarantine_totals as totals
left join recent using (reason)
where kept_rows > 0 or overflowed > 0
order by kept_messages + overflowed desc, totals.reason
