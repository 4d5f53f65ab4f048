-- roles_grant
-- Brings the rights of the group roles to what the table below says, and touches nothing that is so already. Run by the owner after every
-- migration: new tables, roles made since, and a server that was upgraded are seen to.
-- The letters are those of PostgreSQL's own lists of rights: r select, a insert, w update, d delete, m maintain (vacuum; from 17 on).
-- Nobody but the owner may truncate, reference, or make triggers; identity columns need no rights on their sequences.
-- docs/roles.md says why each role has what it has; a test compares this table with the schema.
do $$
declare
    change record;
begin
    for change in
        with wanted_of_tables (names, reader, writer, operator) as (
            values
            ('meter_history vehicle_history', 'r', 'ra', 'ra'),
            ('meter_live vehicle_live', 'r', 'raw', 'raw'),
            ('presence', 'r', 'rad', 'ra'),
            ('devices', 'r', 'ra', 'raw'),
            ('links', 'r', 'r', 'rawd'),
            ('bindings', 'r', 'r', 'rawd'),
            ('bindings_version', 'r', 'r', 'rw'),
            ('place_turns', 'r', 'rawd', 'r'),
            ('quarantine', 'r', 'rawd', 'rawd'),
            ('quarantine_totals', 'r', 'raw', 'raw'),
            ('roll_state', 'r', 'rw', 'r'),
            ('rollup_marks', 'r', 'radm', 'ra'),
            ('meter_rollup_15m vehicle_rollup_15m', 'r', 'rawdm', 'r'),
            ('register_baselines', 'r', 'rawd', 'rd'),
            ('charging_15m', 'r', 'rawdm', 'r'),
            ('unattributed_15m charging_24h', 'r', 'rawd', 'r'),
            ('charging_marks', 'r', 'radm', 'r'),
            ('charging_state', 'r', 'rw', 'r'),
            ('alerts', 'r', 'rawd', 'r'),
            ('gateway_beats', 'r', 'rawd', 'r'),
            ('gateway_subscriptions', '', 'rad', ''),
            ('schema_migrations', 'r', 'r', 'r')
        ),
        roles as (
            select oid as role, rolname from pg_roles
            where rolname in ('joulegate_reader', 'joulegate_writer', 'joulegate_operator')
        ),
        tables as ( -- a partition has its parent's rights
            select class.oid as relation, class.relacl, coalesce(parent.relname, class.relname) as name
            from pg_class as class
            left join pg_inherits on inhrelid = class.oid
            left join pg_class as parent on parent.oid = inhparent
            where class.relnamespace = 'public'::regnamespace and class.relkind in ('r', 'p')
        ),
        wanted as (
            select relation, role, privilege
            from wanted_of_tables
            cross join unnest(string_to_array(names, ' ')) as name
            join tables using (name)
            cross join roles
            cross join unnest(string_to_array(
                case rolname when 'joulegate_reader' then reader when 'joulegate_writer' then writer else operator end, null
            )) as letter
            join (
                values ('r', 'SELECT'), ('a', 'INSERT'), ('w', 'UPDATE'), ('d', 'DELETE'), ('m', 'MAINTAIN')
            ) as known (letter, privilege) using (letter)
            where letter <> 'm' or current_setting('server_version_num')::integer >= 170000
        ),
        given as (
            select relation, role, privilege_type as privilege
            from tables
            cross join aclexplode(relacl) as acl
            join roles on role = acl.grantee
        )
        select format('grant %s on %s to %s', privilege, relation::regclass, role::regrole) as statement
        from (select * from wanted except select * from given) as missing
        union all
        select format('revoke %s on %s from %s', privilege, relation::regclass, role::regrole)
        from (select * from given except select * from wanted) as surplus
        union all
        select format('grant usage on schema public to %s', role::regrole)
        from roles
        where not has_schema_privilege(role, 'public', 'usage')
        union all
        select format('grant execute on function %s to %s', function, role::regrole)
        from (
            values
            (to_regprocedure('public.ensure_partitions(date, date)'), 'joulegate_writer'),
            (to_regprocedure('public.ensure_partitions(date, date)'), 'joulegate_operator'),
            (to_regprocedure('public.forget_rollups(date)'), 'joulegate_writer')
        ) as may_call (function, rolname)
        join roles using (rolname)
        where not has_function_privilege(role, function, 'execute')
    loop
        execute change.statement;
    end loop;
end
$$
