-- The gateways, by name: a part of the digest, for the client id is a secret. Alive: the last beat is at most $1 seconds old.
select
    encode(substr(client, 1, 6), 'hex') as gateway, host, version, started_at, beat_at,
    beat_at >= clock_timestamp() - make_interval(secs => $1) as alive,
    received, committed, duplicate, quarantined, pending, rate_per_second, lag_seconds
from gateway_beats
order by client
