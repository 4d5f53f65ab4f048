-- roles_create
-- The group roles that logins are made members of: once a cluster, by whoever comes first. Another database's migration may do the same at the
-- same moment, and who migrates may lack the right: neither stops a migration. roles_missing says what is not there afterwards.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['joulegate_reader', 'joulegate_writer', 'joulegate_operator'] loop
        continue when to_regrole(wanted) is not null;
        begin
            execute format('create role %I nologin', wanted);
        exception
            when duplicate_object or unique_violation or insufficient_privilege then null;
        end;
    end loop;
end
$$
