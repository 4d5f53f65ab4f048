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
