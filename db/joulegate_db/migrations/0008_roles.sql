-- Least privilege: what makes partitions runs with the owner's rights, whoever calls, and only who is to may call it.
-- The rights of the roles on tables are not here: queries/roles_grant.sql, with every `joulegate migrate`.

-- Creates one partition for [first_day, next_day), UTC, when it is missing; returns how many were made. It gets its parent's grants: questions
-- go through the parent and need none, VACUUM does. Nothing but pg_catalog is in the path: where others may create functions in `public`,
-- a better match than the system's own would run with the owner's rights.
create or replace function ensure_partition(parent text, suffix text, first_day date, next_day date) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    child text := parent || '_' || suffix;
    given record;
begin
    if to_regclass('public.' || child) is not null then
        return 0;
    end if;
    execute format('create table public.%I (like public.%I including defaults including constraints)', child, parent);
    -- Before 17 only the owner can vacuum, which the gateway then is not: autovacuum comes by once a bucket, so that answers are index-only scans.
    if parent like '%\_15m' and current_setting('server_version_num')::integer < 170000 then
        execute format(
            'alter table public.%I set (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 5000)', child
        );
    end if;
    for given in
        select privilege_type, case grantee when 0 then 'public' else grantee::regrole::text end as grantee
        from pg_class as class, aclexplode(class.relacl) as acl
        where class.oid = to_regclass('public.' || parent) and acl.grantee <> class.relowner
    loop
        execute format('grant %s on public.%I to %s', given.privilege_type, child, given.grantee);
    end loop;
    execute format(
        'alter table public.%I attach partition public.%I for values from (%L) to (%L)',
        parent, child, to_char(first_day, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(next_day, 'YYYY-MM-DD') || ' 00:00:00+00'
    );
    return 1;
end
$$;

-- As before, with a bound: who may call it must not be able to fill the catalog.
create or replace function ensure_partitions(first_day date, last_day date) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    parent text;
    day date;
    created integer := 0;
begin
    if last_day - first_day > 3700 then
        raise exception 'ensure_partitions: % to % is more than 3,700 days', first_day, last_day
            using errcode = 'program_limit_exceeded', hint = 'JOULEGATE_MAX_AGE_DAYS is at most 3660';
    end if;
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

-- Retention: drops the oldest monthly partition of what is derived that ends by `before` and whose readings are in history no more: with readings
-- there and no rollups, answers would be wrong. Returns its name, null when there is none. One a call: so no two tables' locks are waited for at
-- the same time, and a lock that is not to be had at once is left for another time.
create function forget_rollups(before date) returns text
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
    from pg_inherits
    join pg_class on oid = inhrelid
    where
        inhparent in (
            'public.meter_rollup_15m'::regclass, 'public.vehicle_rollup_15m'::regclass,
            'public.charging_15m'::regclass, 'public.unattributed_15m'::regclass
        )
        and to_date(right(relname, 6), 'YYYYMM') + interval '1 month' <= least(before, history_from)
    order by right(relname, 6), relname
    limit 1;
    if oldest is not null then
        execute format('drop table public.%I', oldest);
    end if;
    return oldest;
end
$$;

do $$
declare
    child regclass;
begin
    if current_setting('server_version_num')::integer < 170000 then
        for child in
            select inhrelid from pg_inherits
            where inhparent in (
                'public.meter_rollup_15m'::regclass, 'public.vehicle_rollup_15m'::regclass,
                'public.charging_15m'::regclass, 'public.unattributed_15m'::regclass
            )
        loop
            execute format(
                'alter table %s set (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 5000)', child
            );
        end loop;
    end if;
end
$$;

revoke execute on function
    ensure_partitions(date, date), ensure_partition(text, text, date, date), forget_rollups(date)
from public;
