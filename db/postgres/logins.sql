-- The services' logins, each in the group role that its work needs (docs/roles.md). For psql, on a migrated schema, by the owner or who else may
-- create roles: the passwords in the environment, all three. May be run again, after a migration or with new passwords.
\set ON_ERROR_STOP on
\set writer ''
\getenv writer DATABASE_GATEWAY_PASSWORD
\set operator ''
\getenv operator DATABASE_OPERATOR_PASSWORD
\set reader ''
\getenv reader DATABASE_READER_PASSWORD
select '' in (:'writer', :'operator', :'reader') as is_incomplete
\gset
\if :is_incomplete
    \warn 'DATABASE_GATEWAY_PASSWORD, DATABASE_OPERATOR_PASSWORD and DATABASE_READER_PASSWORD must not be empty: fill .env as .env.example says'
    select 1 / 0 as the_passwords_for_the_services_are_missing;
\endif

begin;
create temporary table wanted (name, role, password) on commit drop as
values
    ('joulegate_gateway_login', 'joulegate_writer', :'writer'),
    ('joulegate_operator_login', 'joulegate_operator', :'operator'),
    ('joulegate_reader_login', 'joulegate_reader', :'reader');

select format('create role %I', name) from wanted where to_regrole(name) is null
\gexec
select count(*) > 0 as have_too_many_rights from wanted join pg_roles on rolname = name where rolsuper or rolcreatedb or rolcreaterole
\gset
\if :have_too_many_rights
    \warn 'one of the logins may create roles or databases, or everything: it is not ours; rename it, or take that right away'
    select 1 / 0 as a_login_has_too_many_rights;
\endif
select format('alter role %I login password %L', name, password) from wanted
\gexec
select format('grant %I to %I', role, name) from wanted where not pg_has_role(name, role, 'member')
\gexec
commit;
