-- Keeps what could not be accepted and is not there yet, in the order of arrival. Under quarantine's lock.
-- $1 digests, $2 topics, $3 payloads, $4 reasons, $5 details, $6 counts, $7 received_at.
insert into quarantine (digest, topic, payload, reason, detail, count, first_seen, last_seen)
select digest, topic, payload, reason, detail, count, $7, $7
from unnest($1::bytea[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::bigint[])
    as refused (digest, topic, payload, reason, detail, count)
