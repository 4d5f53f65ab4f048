-- as it is, the closed day's key built anew with fillfactor 100
-- breaks: nothing; a late reading splits a full page
create table shape (
    ts timestamptz not null, kwh double precision not null, voltage real not null, late boolean not null,
    device text collate "C" not null, charge_point text collate "C" not null,
    primary key (device, ts)
);
-- closed
alter index shape_pkey set (fillfactor = 100);
reindex table shape;
