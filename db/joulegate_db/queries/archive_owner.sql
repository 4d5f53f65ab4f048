-- archive_owner
-- Whether this login owns both histories, or is a member of who does.
select bool_and(pg_has_role(relowner, 'usage'))
from pg_class
where oid in ('public.meter_history'::regclass, 'public.vehicle_history'::regclass)
