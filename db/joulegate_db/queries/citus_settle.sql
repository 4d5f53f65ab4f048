-- Makes settle_writers(), for the roller: returns when what the coordinator shows as committed is committed on the workers, too.
--
-- A commit is seen on the coordinator before the workers are told to commit what they have prepared: in between a mark is there and its reading is not.
-- Writers hold the lock of closing until the workers have answered; whom a worker did not answer left a prepared transaction behind, whose outcome
-- is known here. SECURITY DEFINER: the gateway's role may not finish others' transactions in general. The lock is given back at once, whatever happens.
create or replace function settle_writers() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_advisory_lock(hashtext('joulegate.close'));
    begin
        perform recover_prepared_transactions();
    exception when query_canceled or others then
        perform pg_advisory_unlock(hashtext('joulegate.close'));
        raise;
    end;
    perform pg_advisory_unlock(hashtext('joulegate.close'));
end
$$;
revoke execute on function settle_writers() from public;
do $$
begin
    if to_regrole('joulegate_writer') is not null then
        grant execute on function settle_writers() to joulegate_writer;
    end if;
end
$$
