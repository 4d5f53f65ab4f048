-- retention_quarantine
-- Looks at the $3 rows of quarantine after the id $1, and removes those that came last before $2. Ids are given in the order of time: behind a
-- page on which nothing came first before $2 nothing can go. Returns how many went, the page's last id, and whether to go on.
with page as (
    select id, first_seen from quarantine where id > $1 order by id limit $3
),
gone as (
    delete from quarantine
    using page
    where quarantine.id = page.id and quarantine.last_seen < $2
    returning 1
)
select
    (select count(*) from gone) as removed, coalesce(max(id), 0) as last, coalesce(bool_or(first_seen < $2), false) as more
from page
