-- Grafana's way into the database: it reads what the dashboards show, nothing else, and cannot hold the database up.
-- For psql, on a migrated schema, by its owner: GRAFANA_DATABASE_PASSWORD in the environment. May be run again, after a migration
-- or with a new password.
\set ON_ERROR_STOP on
\set password ''
\getenv password GRAFANA_DATABASE_PASSWORD
\set admin unset
\getenv admin GRAFANA_ADMIN_PASSWORD
-- Under compose, Grafana starts after this only. An empty admin password would leave Grafana at its well-known default.
select :'password' = '' or :'admin' = '' as is_incomplete
\gset
\if :is_incomplete
    \warn 'GRAFANA_DATABASE_PASSWORD and GRAFANA_ADMIN_PASSWORD must not be empty: fill .env as .env.example says'
    select 1 / 0 as the_passwords_for_grafana_are_missing;
\endif

select 'create role joulegate_grafana' where not exists (select from pg_roles where rolname = 'joulegate_grafana')
\gexec
alter role joulegate_grafana login password :'password' connection limit 10;
alter role joulegate_grafana set default_transaction_read_only = on;
alter role joulegate_grafana set statement_timeout = '15s';
alter role joulegate_grafana set idle_in_transaction_session_timeout = '30s';
alter role joulegate_grafana set plan_cache_mode = force_custom_plan;
alter role joulegate_grafana set jit = off;

begin;
revoke all on all tables in schema public from joulegate_grafana;
grant usage on schema public to joulegate_grafana;
grant select on
    meter_live, vehicle_live, vehicle_history, charging_15m, charging_24h, charging_state, roll_state, alerts, links, quarantine_totals
to joulegate_grafana;
-- not the payloads
grant select (id, first_seen, last_seen, count, topic, reason, detail) on quarantine to joulegate_grafana;
commit;
