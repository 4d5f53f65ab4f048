-- A page of quarantine, newest first: $1 reason (null: any), $2 only ids before this one, $3 how many, $4 bytes of the payload.
select
    id, reason, detail, topic, substr(payload, 1, $4::int) as payload, octet_length(payload) > $4::int as payload_truncated,
    count, first_seen, last_seen
from quarantine
where ($1::text is null or reason = $1) and id < $2
order by id desc
limit $3
