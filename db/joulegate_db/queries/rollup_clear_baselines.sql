-- Removes from where register energies can be computed, in the buckets in [$1, $2). Device by device, as the primary key leads.
delete from register_baselines as baseline
using devices
where
    baseline.device = devices.device and baseline.kind = devices.kind
    and baseline.bucket >= $1 and baseline.bucket < $2
