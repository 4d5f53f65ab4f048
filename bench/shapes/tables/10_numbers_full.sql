-- device and charge point as int4, the closed day's key built anew with fillfactor 100
-- breaks: the same; a late reading splits a full page
create table shape (
    ts timestamptz not null, kwh double precision not null, voltage real not null, device_no integer not null,
    place_no integer not null, late boolean not null,
    primary key (device_no, ts)
);
-- closed
alter index shape_pkey set (fillfactor = 100);
reindex table shape;
