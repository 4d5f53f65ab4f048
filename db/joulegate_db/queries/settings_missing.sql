-- How many of these settings did not come with the connection. $1: their names. The application's name says nothing: poolers pass it on.
select count(*)
from unnest($1::text[]) as wanted (name)
where name <> 'application_name'
    and not exists (select from pg_settings where lower(pg_settings.name) = lower(wanted.name) and source = 'client')
