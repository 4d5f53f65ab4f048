-- What each gateway says of itself every few seconds. One row a gateway; only the primary key, and room in the page: updates stay HOT.
create table gateway_beats (
    started_at timestamptz not null,
    beat_at timestamptz not null, -- by the database's clock, which is one for all gateways
    received bigint not null, -- messages since started_at, as are the next three
    committed bigint not null,
    duplicate bigint not null,
    quarantined bigint not null,
    pending bigint not null,
    rate_per_second double precision not null, -- settled between the last two beats
    lag_seconds double precision not null, -- from arrival to commit, for the oldest message of the last batch
    client bytea primary key, -- SHA-256 of the client id, as in gateway_subscriptions
    host text not null,
    version text not null
) with (fillfactor = 50);
