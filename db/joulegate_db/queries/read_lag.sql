-- How many seconds what is read here may be behind the primary: 0 on a primary, and on a standby that is connected and has replayed all that it got.
-- Otherwise the age of the newest transaction replayed: too much when nothing was written since, never too little while the clocks agree.
select case
    when not pg_is_in_recovery() then 0
    when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
        and exists (select from pg_stat_wal_receiver where pid is not null) then 0
    else coalesce(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()), 'infinity')
end::float8
