-- no unique key, a BRIN index on ts
-- breaks: exactly once: nothing stops the same reading from being stored twice
create table shape (
    ts timestamptz not null, kwh double precision not null, voltage real not null, late boolean not null,
    device text collate "C" not null, charge_point text collate "C" not null
);
create index on shape using brin (ts);
