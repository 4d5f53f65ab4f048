-- key (ts, device): grows at its right end
-- breaks: a device's readings lie one to a page of the key; an answer reads 1,440 pages a day instead of a dozen
create table shape (
    ts timestamptz not null, kwh double precision not null, voltage real not null, late boolean not null,
    device text collate "C" not null, charge_point text collate "C" not null,
    primary key (ts, device)
);
