-- the charge point as an int4 into a dictionary
-- breaks: history.charge_point is text; every writer has to know or make the number first
create table shape (
    ts timestamptz not null, kwh double precision not null, voltage real not null, place_no integer not null,
    late boolean not null, device text collate "C" not null,
    primary key (device, ts)
);
