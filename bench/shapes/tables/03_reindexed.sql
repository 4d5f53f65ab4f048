-- as it is, the closed day's key built anew (REINDEX)
-- breaks: nothing; the closed day's key is written a second time
create table shape (
    ts timestamptz not null, kwh double precision not null, voltage real not null, late boolean not null,
    device text collate "C" not null, charge_point text collate "C" not null,
    primary key (device, ts)
);
-- closed
reindex table shape;
