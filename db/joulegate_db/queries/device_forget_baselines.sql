-- Forgets from where register energies can be computed, because all of it is computed anew: $1 kinds, $2 devices.
delete from register_baselines as baseline
using unnest($1::text[], $2::text[]) as changed (kind, device)
where baseline.device = changed.device and baseline.kind = changed.kind
