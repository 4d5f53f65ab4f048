-- Links, and rollups: history by device, charge point and 15-minute bucket.

create extension if not exists btree_gist;

-- An explicit link: this meter measures this vehicle for this time. A meter has one vehicle at a time.
create table links (
    id bigint generated always as identity primary key,
    created_at timestamptz not null default now(),
    valid tstzrange not null check (not isempty(valid) and lower_inc(valid) and not upper_inc(valid) and lower(valid) is not null),
    vehicle text collate "C" not null,
    meter text collate "C" not null,
    constraint links_meter_has_one_vehicle exclude using gist (meter with =, valid with &&)
);
create index links_by_vehicle on links (vehicle);

-- Rollups are derived: a pure function of history and of what is declared about the devices. Energies in kWh, by docs/energy.md.
-- Everything an answer needs is in the primary key's index. Partitioned by month, because they are kept for years.
create table meter_rollup_15m (
    bucket timestamptz not null,
    kwh double precision not null,
    readings integer not null,
    late integer not null,
    resets integer not null default 0,
    glitches integer not null default 0,
    jumps integer not null default 0,
    recovered integer not null default 0,
    device text collate "C" not null,
    charge_point text collate "C" not null,
    linked_vehicle text collate "C" not null, -- empty: no link was valid, the reading belongs to its charge point's pool
    primary key (device, bucket, charge_point, linked_vehicle)
    include (kwh, readings, late, resets, glitches, jumps, recovered)
) partition by range (bucket);

create table vehicle_rollup_15m (
    bucket timestamptz not null,
    kwh double precision not null,
    temperatures double precision not null, -- sum over the readings, degC
    gap double precision not null, -- seconds without readings, between readings of this bucket
    first_ts timestamptz not null,
    last_ts timestamptz not null,
    readings integer not null,
    late integer not null,
    resets integer not null default 0,
    glitches integer not null default 0,
    jumps integer not null default 0,
    recovered integer not null default 0,
    device text collate "C" not null,
    charge_point text collate "C" not null,
    primary key (device, bucket, charge_point)
    include (kwh, temperatures, gap, first_ts, last_ts, readings, late, resets, glitches, jumps, recovered)
) partition by range (bucket);

-- A register device's last accepted reading before its first reading of a bucket: where a computation can begin.
-- One row for every rolled bucket in which the device reported; ts and kwh are null when nothing was accepted before.
create table register_baselines (
    bucket timestamptz not null,
    ts timestamptz,
    kwh double precision,
    device text collate "C" not null,
    kind text collate "C" not null,
    primary key (device, kind, bucket)
);

-- One row. Writers mark what they add before closed_until; readers take rollups before rolled_until. Between the two is what the roller
-- has yet to compute. energy and max_kw are the defaults that the rollups were computed with.
create table roll_state (
    one boolean primary key default true check (one),
    closed_until timestamptz not null default 'epoch',
    rolled_until timestamptz not null default 'epoch',
    meter_energy text not null default 'interval',
    vehicle_energy text not null default 'interval',
    max_kw double precision not null default 2000,
    look_back interval not null default '8 days',
    check (rolled_until <= closed_until)
);
insert into roll_state default values;

-- Buckets that late readings, changed links or declarations touched. Without a unique key: writers append and never wait for each other.
create table rollup_marks (
    bucket timestamptz not null,
    device text collate "C" not null,
    kind text collate "C" not null
);
create index rollup_marks_by_device on rollup_marks (device, kind);

-- A bucket's readings are found by block ranges: history grows roughly in the order of time.
create index meter_history_by_time on meter_history using brin (ts) with (pages_per_range = 16, autosummarize = on);
create index vehicle_history_by_time on vehicle_history using brin (ts) with (pages_per_range = 16, autosummarize = on);

-- Creates one partition for [first_day, next_day), UTC, when it is missing; returns how many were made.
create function ensure_partition(parent text, suffix text, first_day date, next_day date) returns integer
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    child text := parent || '_' || suffix;
begin
    if to_regclass('public.' || child) is not null then
        return 0;
    end if;
    execute format('create table public.%I (like public.%I including defaults including constraints)', child, parent);
    execute format(
        'alter table public.%I attach partition public.%I for values from (%L) to (%L)',
        parent, child, to_char(first_day, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(next_day, 'YYYY-MM-DD') || ' 00:00:00+00'
    );
    return 1;
end
$$;

-- Charging: whose AC it was, by vehicle and 15-minute bucket ------------------------------------------------------------

-- One row for every vehicle and bucket in which it reported or AC was attributed to it (docs/energy.md). Derived from the rollups alone.
-- Energies in kWh; less than 1e-100 counts as 0, so that no quotient under- or overflows.
create table charging_15m (
    bucket timestamptz not null,
    ac double precision, -- null: no meter reading was attributed
    dc double precision, -- null: no vehicle reading
    temperatures double precision not null, -- sum over the vehicle's readings, degC
    vehicle_readings integer not null,
    meter_readings integer not null, -- attributed; a shared meter's count for each sharer
    events integer not null, -- resets, glitches and jumps of the readings behind the row, of both streams
    pairing smallint, -- the weakest: 1 shared, 2 exclusive, 3 link; null: no AC was attributed
    paired boolean not null, -- min/max of the two counts is 0.8 or more
    vehicle text collate "C" not null,
    primary key (vehicle, bucket)
    include (ac, dc, temperatures, vehicle_readings, meter_readings, events, pairing, paired)
) partition by range (bucket);

-- AC that belongs to no vehicle, by charge point and bucket.
create table unattributed_15m (
    bucket timestamptz not null,
    ac double precision not null,
    readings integer not null,
    charge_point text collate "C" not null,
    primary key (bucket, charge_point) include (ac, readings)
) partition by range (bucket);

-- The last 24 h up to charging_state.day_until, by vehicle: what alerts are judged on and the fleet's default answer is made of.
-- judged_ac and judged_dc are of the paired buckets when those give a ratio, else of all. Only the primary key: updates stay HOT.
create table charging_24h (
    ac double precision,
    dc double precision,
    judged_ac double precision,
    judged_dc double precision,
    vehicle_readings bigint not null default 0,
    meter_readings bigint not null default 0,
    events bigint not null default 0,
    pairing smallint,
    stale boolean not null default true, -- a bucket was attributed anew since this row was computed
    vehicle text collate "C" primary key
) with (fillfactor = 50);

-- One row. Buckets before attributed_until are in charging_15m; charging_24h holds the 24 h before day_until.
create table charging_state (
    one boolean primary key default true check (one),
    attributed_until timestamptz not null default 'epoch',
    day_until timestamptz not null default 'epoch',
    day_unattributed double precision not null default 0, -- kWh in those 24 h
    stale boolean not null default true
);
insert into charging_state default values;

-- What is to be attributed anew: a charge point in a bucket, and a vehicle ('': none) whose own linked meter's row changed.
-- Without a unique key: duplicates are harmless and die when they are taken.
create table charging_marks (
    bucket timestamptz not null,
    charge_point text collate "C" not null,
    vehicle text collate "C" not null
);
create index charging_marks_by_bucket on charging_marks (bucket);

-- Every statement that changes a rollup leaves marks in its own transaction: however a rollup came about (rolled, rolled again, a register's
-- cascade, a rebuild), it cannot be committed without being attributed later, a crash in between included.
create function charging_mark_meter() returns trigger language plpgsql as $$
begin
    insert into public.charging_marks (bucket, charge_point, vehicle)
    select distinct bucket, charge_point, linked_vehicle from touched;
    return null;
end
$$;

create function charging_mark_vehicle() returns trigger language plpgsql as $$
begin
    insert into public.charging_marks (bucket, charge_point, vehicle)
    select distinct bucket, charge_point, '' from touched;
    return null;
end
$$;

create trigger charging_mark_inserted after insert on meter_rollup_15m
referencing new table as touched for each statement execute function charging_mark_meter();
create trigger charging_mark_updated after update on meter_rollup_15m
referencing new table as touched for each statement execute function charging_mark_meter();
create trigger charging_mark_deleted after delete on meter_rollup_15m
referencing old table as touched for each statement execute function charging_mark_meter();
create trigger charging_mark_inserted after insert on vehicle_rollup_15m
referencing new table as touched for each statement execute function charging_mark_vehicle();
create trigger charging_mark_updated after update on vehicle_rollup_15m
referencing new table as touched for each statement execute function charging_mark_vehicle();
create trigger charging_mark_deleted after delete on vehicle_rollup_15m
referencing old table as touched for each statement execute function charging_mark_vehicle();

-- A vehicle's own linked meters, and registers' events, are found without reading what has none.
create index meter_rollup_15m_by_link on meter_rollup_15m (linked_vehicle, bucket) where linked_vehicle <> '';
create index meter_rollup_15m_events on meter_rollup_15m (bucket, device) where resets > 0 or jumps > 0;
create index vehicle_rollup_15m_events on vehicle_rollup_15m (bucket, device) where resets > 0 or jumps > 0;

-- The sums of [since, until) by vehicle. Whole buckets only. In the order of the primary key's index: no sort, no heap.
create function charging_sums(since timestamptz, until timestamptz)
returns table (
    vehicle text, ac double precision, dc double precision, judged_ac double precision, judged_dc double precision,
    vehicle_readings bigint, meter_readings bigint, events bigint, pairing smallint
)
language sql stable as $$
    select
        vehicle, ac, dc,
        case when paired_ac > 0 then paired_ac else ac end,
        case when paired_ac > 0 then paired_dc else dc end,
        vehicle_readings, meter_readings, events, pairing
    from (
        select
            vehicle, sum(ac) as ac, sum(dc) as dc,
            sum(ac) filter (where paired) as paired_ac, sum(dc) filter (where paired) as paired_dc,
            sum(vehicle_readings) as vehicle_readings, sum(meter_readings) as meter_readings, sum(events) as events,
            min(pairing) as pairing
        from charging_15m
        where bucket >= since and bucket < until
        group by vehicle
    ) as summed
$$;

-- As before, and the tables that are partitioned by month.
create or replace function ensure_partitions(first_day date, last_day date) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    parent text;
    day date;
    created integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('joulegate.partitions'));
    foreach parent in array array['meter_history', 'vehicle_history'] loop
        for day in select generate_series(first_day, last_day, interval '1 day')::date loop
            created := created + public.ensure_partition(parent, to_char(day, 'YYYYMMDD'), day, day + 1);
        end loop;
    end loop;
    foreach parent in array array['meter_rollup_15m', 'vehicle_rollup_15m', 'charging_15m', 'unattributed_15m'] loop
        for day in select generate_series(date_trunc('month', first_day), last_day, interval '1 month')::date loop
            created := created
                + public.ensure_partition(parent, to_char(day, 'YYYYMM'), day, (day + interval '1 month')::date);
        end loop;
    end loop;
    return created;
end
$$;

-- Alerts --------------------------------------------------------------------------------------------------------------

-- What was wrong with a device, from when to when. Derived, but not recomputed: `value` and `detail` are as they were at opening.
create table alerts (
    id bigint generated always as identity primary key,
    opened_at timestamptz not null,
    closed_at timestamptz check (closed_at >= opened_at), -- null: open
    value double precision, -- the ratio, the number of events, or the seconds of silence; null: AC was 0, there is no ratio
    threshold double precision not null,
    kind text collate "C" not null check (kind in ('low_efficiency', 'implausible', 'register_reset', 'silent_device')),
    device text collate "C" not null,
    device_kind text collate "C" not null check (device_kind in ('meter', 'vehicle')),
    detail text not null,
    closed_because text -- in words; null while open
);
create unique index alerts_open on alerts (device, device_kind, kind) where closed_at is null;
create index alerts_by_device on alerts (device, id);
create index alerts_by_closing on alerts (closed_at) where closed_at is not null;
