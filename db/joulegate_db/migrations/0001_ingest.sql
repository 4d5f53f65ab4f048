-- History, live state, devices, presence, quarantine.
--
-- Identifiers are compared byte by byte (collate "C"): sorting a batch by key is then a memcmp.
-- Columns are ordered wide to narrow, text last: no padding inside a row.

create table meter_history (
    ts timestamptz not null,
    kwh double precision not null, -- as published: an interval's energy or a register
    voltage real not null,
    late boolean not null, -- arrived more than five intervals after it was measured
    device text collate "C" not null,
    charge_point text collate "C" not null,
    primary key (device, ts)
) partition by range (ts);

create table vehicle_history (
    ts timestamptz not null,
    kwh double precision not null,
    battery_temp double precision not null,
    soc real not null,
    late boolean not null,
    device text collate "C" not null,
    charge_point text collate "C" not null,
    primary key (device, ts)
) partition by range (ts);

comment on table meter_history is 'Every accepted meter reading, append only, partitioned by UTC day.';
comment on table vehicle_history is 'Every accepted vehicle reading, append only, partitioned by UTC day.';

-- One row a device: the newest measured reading. No index beyond the primary key and half of each page free,
-- so that every update is a heap-only tuple.
create table meter_live (
    ts timestamptz not null,
    received_at timestamptz not null,
    kwh double precision not null,
    voltage real not null,
    charging boolean not null,
    device text collate "C" primary key,
    charge_point text collate "C" not null
) with (fillfactor = 50);

create table vehicle_live (
    ts timestamptz not null,
    received_at timestamptz not null,
    kwh double precision not null,
    battery_temp double precision not null,
    soc real not null,
    charging boolean not null,
    device text collate "C" primary key,
    charge_point text collate "C" not null
) with (fillfactor = 50);

-- Every device ever seen or declared. `energy` and `max_kw` null: the stream's setting holds.
create table devices (
    first_seen timestamptz not null default now(),
    max_kw double precision check (max_kw > 0),
    device text collate "C" not null,
    kind text collate "C" not null check (kind in ('meter', 'vehicle')),
    energy text check (energy in ('interval', 'register')),
    primary key (device, kind)
);

-- Who reported at a charge point in a 15-minute bucket: the index by which streams meet.
create table presence (
    bucket timestamptz not null,
    charge_point text collate "C" not null,
    kind text collate "C" not null,
    device text collate "C" not null,
    primary key (charge_point, bucket, kind, device)
);

-- What could not be accepted, and why. The digest of topic and payload keeps a redelivery from doubling a row.
create table quarantine (
    id bigint generated always as identity primary key,
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    count bigint not null default 1,
    topic text not null,
    payload bytea not null,
    reason text not null,
    detail text not null,
    digest bytea not null unique
);
create index quarantine_by_time on quarantine (last_seen desc, id);

-- Creates the daily partitions of both histories for [first_day, last_day], those that are missing.
-- SECURITY DEFINER: the gateway's role need not own the tables. A partition is made standalone and then attached, which does
-- not block readers and writers of the parent; the bounds are written with an explicit UTC offset.
create function ensure_partitions(first_day date, last_day date) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    parent text;
    child text;
    day date;
    created integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('joulegate.partitions'));
    foreach parent in array array['meter_history', 'vehicle_history'] loop
        for day in select generate_series(first_day, last_day, interval '1 day')::date loop
            child := parent || '_' || to_char(day, 'YYYYMMDD');
            continue when to_regclass('public.' || child) is not null;
            execute format('create table public.%I (like public.%I including defaults)', child, parent);
            execute format(
                'alter table public.%I attach partition public.%I for values from (%L) to (%L)',
                parent, child, to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00'
            );
            created := created + 1;
        end loop;
    end loop;
    return created;
end
$$;
