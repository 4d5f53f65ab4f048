-- Alerts that transaction $1 or a later one, before $2, opened or closed. Closed ones are looked for among those of the last $3 seconds.
select
    id, kind, device, device_kind, opened_at, closed_at, value, threshold, detail, closed_because, written
from alerts
where
    (closed_at is null or closed_at > now() - make_interval(secs => $3))
    and written >= $1 and written < $2
order by id
