-- doctor_server
-- The server and its settings, and what stands in the way of vacuum. Settings that the role may not see are null.
select
    current_setting('server_version') as version,
    current_setting('server_version_num')::int / 10000 as major,
    clock_timestamp() as clock,
    pg_is_in_recovery() as standby,
    pg_database_size(current_database()) as octets,
    (select age(datfrozenxid) from pg_database where datname = current_database()) as transaction_age,
    (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,
    current_setting('max_connections')::int as max_connections,
    (
        select extract(epoch from max(clock_timestamp() - xact_start))::double precision
        from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid()
    ) as oldest_transaction,
    (select setting from pg_settings where name = 'data_directory') as data_directory,
    array(
        select name || '=' || setting
        from pg_settings
        where name in ('fsync', 'full_page_writes', 'autovacuum', 'track_counts') and setting <> 'on'
        order by name
    ) as off
