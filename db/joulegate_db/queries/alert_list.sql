-- A page of alerts, newest first: $1 open, closed or all, $2 kind, $3 device (null: any), $4 only ids before this one, $5 how many.
select id, kind, device, device_kind, opened_at, closed_at, value, threshold, detail, closed_because
from alerts
where
    case $1 when 'open' then closed_at is null when 'closed' then closed_at is not null else true end
    and ($2::text is null or kind = $2)
    and ($3::text is null or device = $3)
    and id < $4
order by id desc
limit $5
