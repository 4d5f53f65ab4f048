-- doctor_logins
-- Who the running services of this database are logged in as: everybody may see that.
select distinct
    application_name as service, usename as login, rolsuper as is_superuser,
    pg_has_role(usesysid, (select relowner from pg_class where oid = 'public.meter_history'::regclass), 'usage') as is_owner
from pg_stat_activity
join pg_roles on oid = usesysid
where datname = current_database() and application_name in ('joulegate-gateway', 'joulegate-http')
order by service, login
