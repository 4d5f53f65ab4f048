-- Alerts that transaction $1 or a later one opened or closed. Closed ones are looked for among those of the last $2 seconds.
select
    id, kind, device, device_kind, opened_at, closed_at, value, threshold, detail, closed_because,
    xmin::text::bigint as transaction
from alerts
where
    (closed_at is null or closed_at > now() - make_interval(secs => $2))
    and age(xmin) <= (select age($1::bigint::text::xid8::xid))
order by id
