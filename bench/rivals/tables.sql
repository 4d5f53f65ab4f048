-- Where the rivals store: the columns of joulegate's history, one index for the questions by device and time, nothing unique.
create table readings_meter (
    ts timestamptz not null,
    kwh double precision not null,
    voltage real not null,
    device text collate "C" not null,
    charge_point text collate "C" not null
);
create index on readings_meter (device, ts);

create table readings_vehicle (
    ts timestamptz not null,
    kwh double precision not null,
    battery_temp double precision not null,
    soc real not null,
    device text collate "C" not null,
    charge_point text collate "C" not null
);
create index on readings_vehicle (device, ts);
