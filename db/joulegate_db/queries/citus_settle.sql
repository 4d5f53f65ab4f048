-- Makes settle(), for whoever must see on the workers what the coordinator shows as committed.
--
-- A commit is seen on the coordinator before the workers are told to commit what they have prepared: in between a mark is there and its reading, or its
-- rollup, is not. Who commits holds a lock until the workers have answered: writers that of closing, whoever changes rollups that of declarations. $1 is
-- the lock to wait for. Whom a worker did not answer left a prepared transaction behind, whose outcome is known here; it is finished, or there is an error.
-- SECURITY DEFINER: the services' roles may not finish others' transactions in general.
create or replace function settle(lock_name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    until timestamptz := clock_timestamp() + interval '2 seconds';
    unanswered text[];
begin
    perform pg_advisory_lock(hashtext(lock_name));
    perform pg_advisory_unlock(hashtext(lock_name));
    select array_agg(gid) into unanswered from pg_dist_transaction join pg_dist_node using (groupid);
    loop
        perform recover_prepared_transactions();
        if not exists (select from pg_dist_transaction where gid = any(unanswered)) then
            return;
        end if;
        exit when clock_timestamp() > until;
        perform pg_sleep(0.02); -- what others are just committing is there for a moment
    end loop;
    raise exception 'a worker has not finished what it had prepared'
        using errcode = 'connection_failure', hint = 'it is away, or another session holds the recovery of transactions up: see to the workers';
end
$$;
revoke execute on function settle(text) from public;
do $$
declare
    service name;
begin
    for service in select rolname from pg_roles where rolname in ('joulegate_writer', 'joulegate_operator') loop
        execute format('grant execute on function settle(text) to %I', service);
    end loop;
end
$$
