-- columns in the order of the message: ids first
-- breaks: nothing
create table shape (
    device text collate "C" not null, charge_point text collate "C" not null, late boolean not null,
    ts timestamptz not null, voltage real not null, kwh double precision not null,
    primary key (device, ts)
);
