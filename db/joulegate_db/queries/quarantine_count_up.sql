-- Counts up what is kept already, whatever the cap; the reason and the detail of the first time stay. Returns the digests found.
-- $1 digests, $2 counts, $3 received_at.
update quarantine as kept
set count = kept.count + refused.count,
    last_seen = greatest(kept.last_seen, $3)
from unnest($1::bytea[], $2::bigint[]) as refused (digest, count)
where kept.digest = refused.digest
returning kept.digest
