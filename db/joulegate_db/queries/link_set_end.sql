-- Other ends: $1 ids, $2 ends (null: open).
update links
set valid = tstzrange(lower(valid), changed.valid_to)
from unnest($1::bigint[], $2::timestamptz[]) as changed (id, valid_to)
where links.id = changed.id
