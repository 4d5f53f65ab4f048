-- A gateway's beat. $1 client, $2 host, $3 version, $4 started_at, $5 to $9 received, committed, duplicate, quarantined, pending,
-- $10 messages a second, $11 lag in seconds.
insert into gateway_beats (
    client, host, version, started_at, beat_at, received, committed, duplicate, quarantined, pending, rate_per_second, lag_seconds
)
values ($1, $2, $3, $4, clock_timestamp(), $5, $6, $7, $8, $9, $10, $11)
on conflict (client) do update
set host = excluded.host, version = excluded.version, started_at = excluded.started_at, beat_at = excluded.beat_at,
    received = excluded.received, committed = excluded.committed, duplicate = excluded.duplicate,
    quarantined = excluded.quarantined, pending = excluded.pending, rate_per_second = excluded.rate_per_second,
    lag_seconds = excluded.lag_seconds
