-- as it is: wide columns first, text ids, key (device, ts)
-- breaks: nothing
create table shape (
    ts timestamptz not null, kwh double precision not null, voltage real not null, late boolean not null,
    device text collate "C" not null, charge_point text collate "C" not null,
    primary key (device, ts)
);
