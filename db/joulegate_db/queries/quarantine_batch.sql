-- Messages to be tried again, oldest first: $1 reason (null: any), $2 only ids after this one, $3 up to this one, $4 how many.
select id, topic, payload, last_seen
from quarantine
where ($1::text is null or reason = $1) and id > $2 and id <= $3
order by id
limit $4
