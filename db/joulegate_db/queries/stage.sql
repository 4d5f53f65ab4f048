-- The writer's staging tables, one a stream and one for presence, emptied by every commit.
-- ON COMMIT DELETE ROWS rather than TRUNCATE: nothing is written to the system catalogs.
create temporary table if not exists stage_meter (
    ts timestamptz not null,
    kwh double precision not null,
    voltage real not null,
    late boolean not null,
    device text collate "C" not null,
    charge_point text collate "C" not null
) on commit delete rows;

create temporary table if not exists stage_vehicle (
    ts timestamptz not null,
    kwh double precision not null,
    battery_temp double precision not null,
    soc real not null,
    late boolean not null,
    device text collate "C" not null,
    charge_point text collate "C" not null
) on commit delete rows;

create temporary table if not exists stage_presence (
    bucket timestamptz not null,
    charge_point text collate "C" not null,
    kind text collate "C" not null,
    device text collate "C" not null
) on commit delete rows;
