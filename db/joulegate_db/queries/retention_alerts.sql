-- retention_alerts
-- Removes up to $2 alerts that were closed before $1.
with gone as (
    delete from alerts
    where id in (select id from alerts where closed_at < $1 order by closed_at limit $2)
    returning 1
)
select count(*) from gone
