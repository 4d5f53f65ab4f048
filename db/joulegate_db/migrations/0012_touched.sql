-- The roller notes itself what it changes in the rollups, and leaves the marks that follow (queries/rollup_touched_*.sql): where rollups are distributed
-- there are no triggers. Those of before stay for a gateway of the former version that still rolls after this migration, and for changes by hand; they
-- do nothing in a connection that keeps such notes.

create or replace function charging_mark_meter() returns trigger language plpgsql as $$
begin
    if to_regclass('pg_temp.rollup_touched') is null then
        insert into public.charging_marks (bucket, charge_point, vehicle)
        select distinct bucket, charge_point, linked_vehicle from touched;
    end if;
    return null;
end
$$;

create or replace function charging_mark_vehicle() returns trigger language plpgsql as $$
begin
    if to_regclass('pg_temp.rollup_touched') is null then
        insert into public.charging_marks (bucket, charge_point, vehicle)
        select bucket, charge_point, '' from touched
        union
        select charging.bucket, charging.charge_point, ''
        from touched
        join public.charging_state as state on touched.bucket < state.attributed_until
        cross join lateral (
            select bucket, charge_point
            from public.charging_15m
            where vehicle = touched.device and bucket = touched.bucket and charge_point <> touched.charge_point
            offset 0
        ) as charging;
    end if;
    return null;
end
$$;

create or replace function place_turns_note() returns trigger language plpgsql as $$
begin
    if to_regclass('pg_temp.rollup_touched') is null then
        insert into public.place_turns (bucket, device, kind)
        select bucket, device, tg_argv[0] from touched group by bucket, device having min(charge_point) <> max(charge_point)
        on conflict (device, kind, bucket) do update set returns = null;
    end if;
    return null;
end
$$;

-- As before, but only the names of monthly partitions are read as months (`offset 0`): a plan that looked through all of pg_class failed at other names.
create or replace function forget_rollups(before date) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
declare
    history_from date;
    oldest text;
begin
    perform pg_advisory_xact_lock(hashtext('joulegate.partitions'));
    select greatest(
        min(to_date(right(relname, 8), 'YYYYMMDD')), (select (archived_until at time zone 'UTC')::date from public.roll_state)
    )
    into history_from
    from pg_inherits
    join pg_class on oid = inhrelid
    where inhparent in ('public.meter_history'::regclass, 'public.vehicle_history'::regclass);
    select relname
    into oldest
    from (
        select relname
        from pg_inherits
        join pg_class on oid = inhrelid
        where
            inhparent in (
                'public.meter_rollup_15m'::regclass, 'public.vehicle_rollup_15m'::regclass,
                'public.charging_15m'::regclass, 'public.unattributed_15m'::regclass
            )
        offset 0
    ) as month
    where to_date(right(relname, 6), 'YYYYMM') + interval '1 month' <= least(before, history_from)
    order by right(relname, 6), relname
    limit 1;
    if oldest is not null then
        execute format('drop table public.%I', oldest);
    end if;
    return oldest;
end
$$;
