-- device and charge point as int4 into dictionaries
-- breaks: history.device and charge_point are text; the key holds a number that means nothing elsewhere
create table shape (
    ts timestamptz not null, kwh double precision not null, voltage real not null, device_no integer not null,
    place_no integer not null, late boolean not null,
    primary key (device_no, ts)
);
