-- Keeps what could not be accepted. The same topic and payload again only counts up.
-- $1 digests (sorted), $2 topics, $3 payloads, $4 reasons, $5 details, $6 counts, $7 received_at.
insert into quarantine as kept (digest, topic, payload, reason, detail, count, first_seen, last_seen)
select digest, topic, payload, reason, detail, count, $7, $7
from unnest($1::bytea[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::bigint[])
    as refused (digest, topic, payload, reason, detail, count)
on conflict (digest) do update
set count = kept.count + excluded.count,
    last_seen = greatest(kept.last_seen, excluded.last_seen),
    reason = excluded.reason,
    detail = excluded.detail
